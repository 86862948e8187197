//! Scenes of the chat: events, keys and a history go in, a screen comes out.

mod scene;
mod scenes;
mod window;
