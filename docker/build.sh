#!/usr/bin/env bash
# Builds an image with docker, or with buildah or podman where there is no docker.
#   docker/build.sh [TARGET] [further options of the builder...]     TARGET: cpu (default) or cuda
# BUILDER=buildah chooses; IMAGE=name:tag names the result (default vagus:TARGET).
set -euo pipefail
cd "$(dirname "$0")/.."
target="${1:-cpu}"
[ $# -eq 0 ] || shift
grep -qi "^FROM .* AS $target\$" docker/Dockerfile || { echo "docker/build.sh: docker/Dockerfile has no target $target" >&2; exit 2; }

builder="${BUILDER:-}"
for candidate in docker buildah podman; do
    if [ -z "$builder" ] && command -v "$candidate" >/dev/null; then builder="$candidate"; fi
done
[ -n "$builder" ] || { echo "docker/build.sh: found neither docker, buildah nor podman" >&2; exit 1; }

version="$(sed -n 's/^project(vagus VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
exec "$builder" build -f docker/Dockerfile --target "$target" -t "${IMAGE:-vagus:$target}" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" "$@" .
