# docker build .                      builds from source (the last stage)
# docker build --target prebuilt .    copies target/static/chaos-proxy, as `make static` leaves it
#
# A port without an address listens on all addresses of the container, as `localPort: 6380` is meant there.

FROM scratch AS base
LABEL org.opencontainers.image.title="chaos-proxy" \
      org.opencontainers.image.description="A small static TCP proxy that makes a link misbehave on purpose, reproducibly, and says what it did" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENV CHAOS_PROXY_BIND=0.0.0.0
STOPSIGNAL SIGTERM
ENTRYPOINT ["/chaos-proxy"]

FROM base AS prebuilt
COPY target/static/chaos-proxy /chaos-proxy

FROM rust:1.95.0-alpine AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --release --bin chaos-proxy

FROM base
COPY --from=build /source/target/release/chaos-proxy /chaos-proxy
