#!/usr/bin/env bash
# Installs the Debian packages of the named sections of packages.txt that are missing.
#   docker/install-packages.sh [build|run|test|cuda|bundle]...     default: build
#   docker/install-packages.sh --print build test      only prints the names
# Touches neither apt nor the network when nothing is missing. Needs root or sudo otherwise, and says what to
# run when it has neither. VAGUS_SKIP_PACKAGES=1 turns it off, for a machine that has the libraries from elsewhere.
set -euo pipefail
list="$(dirname "$0")/packages.txt"

print=0
if [ "${1:-}" = --print ]; then print=1; shift; fi
if [ $# -eq 0 ]; then set -- build; fi
packages=()
for section in "$@"; do
    found="$(awk -v s="$section" '$1 == s { print $2 }' "$list")"
    if [ -z "$found" ]; then
        echo "install-packages.sh: no section \"$section\" in packages.txt; there are build, run, test, cuda and bundle" >&2
        exit 2
    fi
    mapfile -t -O "${#packages[@]}" packages <<<"$found"
done
if [ $print = 1 ]; then printf '%s\n' "${packages[@]}"; exit 0; fi
if [ "${VAGUS_SKIP_PACKAGES:-0}" = 1 ]; then exit 0; fi

if ! command -v dpkg-query >/dev/null; then
    echo "install-packages.sh: this is not a Debian system. Install what corresponds to these packages of Debian 12" >&2
    echo "and run again with VAGUS_SKIP_PACKAGES=1, or use the image (docker/README.md):" >&2
    echo "  ${packages[*]}" >&2
    exit 1
fi

# dpkg-query fails when it does not know a name at all; such a package is simply not in its answer.
installed="$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | awk '$1 == "installed" { print $2 }' || true)"
missing=()
for package in "${packages[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

apt=(apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
install=(install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" = 0 ]; then
    become=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    become=(sudo env DEBIAN_FRONTEND=noninteractive)
else
    echo "install-packages.sh: ${#missing[@]} packages are missing and this user may not install them. As root:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# No standard input: a package's configuration must not wait for an answer. (sudo asks on the terminal itself.)
if ! { "${become[@]}" "${apt[@]}" update && "${become[@]}" "${apt[@]}" "${install[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    echo "install-packages.sh: apt-get failed (above: the end of its output). To see all of it, as root:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
