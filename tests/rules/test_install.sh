#!/usr/bin/env bash
# Installs into an empty folder and builds small programs against what is there, as a user would: C and C++, with
# pkg-config and with find_package, shared and static. test_install.sh BUILD_DIR CC CXX
set -euo pipefail
build="$1" cc="$2" cxx="$3"
work="$(mktemp -d "${TMPDIR:-/tmp}/vagus-install-XXXXXX")"
trap 'rm -rf "$work"' EXIT
prefix="$work/prefix"
fail() { echo "FAILED: $*"; exit 1; }

cmake --install "$build" --prefix "$prefix" >"$work/install.log" || { cat "$work/install.log"; fail "cmake --install"; }
[ -x "$prefix/bin/vagus" ] || fail "no bin/vagus"
"$prefix/bin/vagus" --help >/dev/null || fail "the installed program does not run"

libdir="$(dirname "$(find "$prefix" -name libvagus.a)")"
export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"

# Nothing but vg_ may be visible in the shared library.
foreign="$(nm -D --defined-only "$libdir/libvagus.so" | awk '$3 !~ /^vg_/ { print $3 }')"
[ -z "$foreign" ] || fail "libvagus.so exports $foreign"
exported="$(nm -D --defined-only "$libdir/libvagus.so" | wc -l)"
[ "$exported" -ge 50 ] || fail "libvagus.so exports only $exported symbols"

# One program that includes every header and calls into each room.
{
    (cd "$prefix/include" && find vagus -name '*.h' | LC_ALL=C sort) | while read -r header; do
        case "$header" in */schema_members.h | */schema_rows.h) ;; *) echo "#include <$header>" ;; esac
    done
    cat <<'END'
#include <stdio.h>
#include <string.h>
int main(void)
{
    vg_kernels *kernels = NULL;
    vg_device *device = NULL;
    if (strcmp(vg_status_name(VG_ERR_IO), "ERR_IO") != 0) return 1;
    if (vg_device_create_host(&device) != VG_OK) return 2;
    if (vg_kernels_create(device, "cpu", false, &kernels) != VG_OK) return fprintf(stderr, "%s\n", vg_cause()), 3;
    vg_kernels_destroy(kernels);
    vg_device_destroy(device);
    puts("linked");
    return 0;
}
END
} >"$work/main.c"
cp "$work/main.c" "$work/main.cpp"

try() {
    local name="$1"
    shift
    "$@" -o "$work/$name" >"$work/$name.log" 2>&1 || { cat "$work/$name.log"; fail "$name: $*"; }
    [ "$("$work/$name")" = linked ] || fail "$name does not run"
}
# shellcheck disable=SC2046
try pc-c "$cc" -std=c17 -Wall -Werror "$work/main.c" $(pkg-config --cflags --libs vagus)
# shellcheck disable=SC2046
try pc-cxx "$cxx" -std=c++17 -Wall -Werror "$work/main.cpp" $(pkg-config --cflags --libs vagus)
# shellcheck disable=SC2046
try pc-static "$cc" -std=c17 "$work/main.c" $(pkg-config --cflags vagus) "$libdir/libvagus.a" \
    $(pkg-config --static --libs-only-other --libs-only-L --libs-only-l vagus | sed 's/-lvagus//')

mkdir "$work/project"
mv "$work/main.c" "$work/main.cpp" "$work/project"
cat >"$work/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C CXX)
find_package(vagus 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared vagus::vagus)
add_executable(cxx main.cpp)
target_link_libraries(cxx vagus::vagus)
add_executable(static main.c)
target_link_libraries(static vagus::static)
END
{
    cmake -G Ninja -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
        -DCMAKE_CXX_COMPILER="$cxx" && cmake --build "$work/project/build"
} >"$work/project.log" 2>&1 || { cat "$work/project.log"; fail "find_package"; }
for name in shared cxx static; do
    [ "$("$work/project/build/$name")" = linked ] || fail "the CMake project's $name does not run"
done
# An installed tree may be moved; nothing of the build or source folder may be in it.
if grep -rIl "$build" "$prefix/include" "$libdir/cmake" "$libdir/pkgconfig"; then fail "these files name the build folder"; fi
echo "6 programs against $exported exported symbols"
