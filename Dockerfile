# docker build .                      builds from source (the last stage)
# docker build --target prebuilt .    copies target/static/chaos-proxy, as `make static` leaves it
#
# Mount a configuration at /etc/chaos-proxy/config.yaml. A port without an address listens on all
# addresses of the container. The admin API listens on the container's own loopback, for the probe
# alone; a variable goes over the file, so another address is set with CHAOS_PROXY_ADMIN.

FROM scratch AS base
LABEL org.opencontainers.image.title="chaos-proxy" \
      org.opencontainers.image.description="A small static TCP proxy that makes a link misbehave on purpose, reproducibly, and says what it did" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENV CHAOS_PROXY_CONFIG=/etc/chaos-proxy/config.yaml \
    CHAOS_PROXY_BIND=0.0.0.0 \
    CHAOS_PROXY_ADMIN=127.0.0.1:8474
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/chaos-proxy", "health"]
ENTRYPOINT ["/chaos-proxy"]

FROM base AS prebuilt
COPY target/static/chaos-proxy /chaos-proxy

FROM rust:1.95.0-alpine AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --release --bin chaos-proxy

FROM base
COPY --from=build /source/target/release/chaos-proxy /chaos-proxy
