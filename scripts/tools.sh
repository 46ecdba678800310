# Sourced by the other scripts: sees to it that the tools are there which building and running need.
# As root on Debian or Ubuntu it installs what is missing; otherwise it names it in one line and ends with 2.

# shellcheck shell=bash
require_tools() { # further ones, each as command=Debian package
    local missing=() packages=() further
    need() { # command, Debian package
        command -v "$1" >/dev/null 2>&1 && return
        missing+=("$1") && packages+=("$2")
    }
    need cc build-essential
    need make build-essential
    # What is installed already and named, as in nix develop, is not fetched.
    [ -n "${EVERHOOK_JAVA:-}" ] || need java default-jre-headless
    [ -n "${EVERHOOK_KAFKA_LIBS:-}" ] || need mvn maven
    [ -n "${EVERHOOK_POSTGRES_BIN:-}" ] && [ -n "${EVERHOOK_RESTATE_SERVER:-}" ] || need npm npm
    # librdkafka's build looks for it.
    need pkg-config pkg-config
    for further in "$@"; do need "${further%%=*}" "${further#*=}"; done
    if [ ${#missing[@]} -gt 0 ]; then
        local line
        line="apt-get install -y --no-install-recommends $(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')"
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
            echo "Missing: ${missing[*]}. Install with: $line(as root)" >&2
            exit 2
        fi
        echo "Installing what is missing: ${missing[*]}" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $line; } >&2
    fi
    if ! command -v cargo >/dev/null 2>&1; then
        echo "Missing: cargo. Install Rust 1.94 or newer with rustup, then run this again." >&2
        exit 2
    fi
    local have want=1.94
    have=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$want" "$have" | sort -V | head -1)" != "$want" ]; then
        echo "Rust $have is too old: run 'rustup update' for $want or newer." >&2
        exit 2
    fi
}

# Says how long the first build takes, once.
announce_build() { # folder of the profile, minutes
    [ -d "target/$1" ] || echo "The first build takes about $2 minutes on two cores; later ones take seconds." >&2
}

# Sees to it that EVERHOOK_PROMETHEUS names a Prometheus. Debian's package is unpacked beside the other components: installed,
# it would run as a service.
require_prometheus() {
    [ -z "${EVERHOOK_PROMETHEUS:-}" ] || return 0
    local cache folder
    if EVERHOOK_PROMETHEUS=$(command -v prometheus); then
        export EVERHOOK_PROMETHEUS
        return
    fi
    if [ "$(id -u)" = 0 ]; then cache=/var/cache/everhook; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/everhook; fi
    folder=${EVERHOOK_CACHE_DIR:-$cache}/prometheus
    export EVERHOOK_PROMETHEUS=$folder/usr/bin/prometheus
    [ ! -x "$EVERHOOK_PROMETHEUS" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing: prometheus. Install it, or name one with EVERHOOK_PROMETHEUS." >&2
        exit 2
    fi
    echo "Getting Debian's prometheus" >&2
    local fresh
    mkdir -p "${folder%/*}"
    fresh=$(mktemp -d "$folder.XXXXXX")
    get_prometheus() { (cd "$fresh" && apt-get -qq download prometheus) >&2; }
    if ! get_prometheus; then
        # There may be no lists of packages yet.
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2 && get_prometheus || { echo "apt-get can't download prometheus; run 'apt-get update' as root, or name one with EVERHOOK_PROMETHEUS." >&2 && exit 2; }
    fi
    dpkg-deb -x "$fresh"/prometheus_*.deb "$fresh"
    rm "$fresh"/prometheus_*.deb
    rm -rf "$folder"
    mv "$fresh" "$folder"
}
