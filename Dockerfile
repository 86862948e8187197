# A node in a container. It needs the host's network, as multicast does not reach others:
#   docker build -t distchat .
#   docker run --detach --name distchat --network host --volume distchat:/data distchat
#   docker exec distchat distchat tail general -f
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /build
COPY . .
# Line numbers are four fifths of the program; names of functions stay.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN cargo build --locked --release --package distchat-node --bin distchat

FROM debian:bookworm-slim
RUN useradd --system --no-create-home --home-dir /data distchat \
    && mkdir --mode=700 /data /run/distchat && chown distchat /data /run/distchat
COPY --from=build /build/target/release/distchat /usr/local/bin/
USER distchat
ENV DISTCHAT_DATA_DIR=/data DISTCHAT_RUN_DIR=/run/distchat
VOLUME /data
STOPSIGNAL SIGTERM
CMD ["distchat", "daemon", "--room", "general"]
