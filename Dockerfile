# One image for everything: auth-server, gateway, the reference CRM and the operator's commands.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --no-install-recommends -y build-essential libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin vestibule \
    && install -D target/release/vestibule /out/vestibule

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 vestibule \
    && useradd --system --uid 10001 --gid vestibule --home-dir /var/lib/vestibule --create-home vestibule \
    && install -d -o vestibule -g vestibule -m 0700 /var/lib/vestibule /run/secrets/vestibule \
    && install -d -o vestibule -g vestibule -m 0755 /etc/redis-users
COPY --from=build /out/vestibule /usr/local/bin/vestibule
USER vestibule
WORKDIR /var/lib/vestibule
ENV VESTIBULE_DATA_DIR=/var/lib/vestibule
ENTRYPOINT ["vestibule"]
CMD ["--help"]
