# The image of all of Millrace's workloads: `make image`.
#
# Secret `ca`, optional: certificates of a proxy that the downloads go through. It is not in any layer.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
ENV MILLRACE_CACHE=/opt/millrace-cache
# What the tools list changes seldom: sources below do not undo this layer.
COPY tools/install_dependencies.sh tools/dependencies.lock tools/apt_packages.txt tools/hide_symbols.py tools/
COPY web/package.json web/package-lock.json web/.npmrc web/
RUN --mount=type=secret,id=ca \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    if [ -f /run/secrets/ca ]; then \
      export PIP_CERT=/run/secrets/ca NODE_EXTRA_CA_CERTS=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; \
      export npm_config_cafile=/run/secrets/ca; \
    fi; \
    tools/install_dependencies.sh
COPY . .
ARG BUILD=""
RUN --mount=type=cache,target=/root/.cache/ccache \
    MILLRACE_BUILD="$BUILD" tools/build.sh release millrace && \
    mkdir -p /image/bin /image/lib && \
    strip -o /image/bin/millrace build/bin/millrace && \
    cp build/lib/* /image/lib/ && strip --strip-unneeded /image/lib/*

FROM ${BASE_IMAGE}
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      ca-certificates libcurl4 libfmt9 libprometheus-cpp-core1.0 libpugixml1v5 libre2-9 libsimdjson14 libspdlog1.10 \
      libssl3 libstdc++6 libyaml-cpp0.7 libzstd1 tzdata zlib1g && \
    rm -rf /usr/share/doc /usr/share/man /usr/share/locale /var/log/* && \
    install -d -o 10001 -g 10001 -m 1777 /var/lib/millrace
COPY --from=build /image/ /usr/local/
COPY LICENSE NOTICE /usr/local/share/doc/millrace/
COPY config/examples/serve.container.yaml /etc/millrace/config.yaml
USER 10001:10001
WORKDIR /var/lib/millrace
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/millrace", "healthcheck", "--url", "http://127.0.0.1:8081"]
ENTRYPOINT ["/usr/local/bin/millrace"]
CMD ["serve", "--config", "/etc/millrace/config.yaml"]
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Access logs over HTTP into Delta Lake tables, each record exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
