# Sourced by build-image and run-image: which container engine is there.
# shellcheck shell=bash

skip() {
    echo "SKIPPED: $*"
    exit 0
}

docker_answers() { docker info >/dev/null 2>&1; }

# Succeed if the command is there, or if Debian's packages that bring it can be installed: need COMMAND [PACKAGE…]
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

configure_podman() {
    if [ ! -d /run/systemd/system ]; then export CONTAINERS_CONF=$PWD/scripts/containers.conf; fi
}
