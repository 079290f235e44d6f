# The program in a small image:
#
#     docker build -t phalanx .
#     docker run --rm -v "$PWD:/work" phalanx train data.csv --test-split 0.2
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p phalanx-cli

FROM debian:bookworm-slim
COPY --from=build /src/target/release/phalanx /usr/local/bin/phalanx
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/phalanx/
# Runs and data: mount a folder here.
WORKDIR /work
ENTRYPOINT ["phalanx"]
