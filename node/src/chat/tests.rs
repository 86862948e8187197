//! Scenes of the chat.
