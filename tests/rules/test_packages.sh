#!/usr/bin/env bash
# docker/packages.txt against what the program loads: every shared library of `vagus` must come from a package of the
# section "run" (or from Debian's essential ones), and every package of "run" must be needed. test_packages.sh VAGUS
set -euo pipefail
vagus="$1"
cd "$(dirname "$0")/../.."
command -v dpkg-query >/dev/null || { echo "skipped: this is not a Debian system"; exit 77; }
grep -qs 'VERSION_ID="12"' /etc/os-release || { echo "skipped: the list is for Debian 12"; exit 77; }

listed="$(docker/install-packages.sh --print run)"
status=0
direct="$(objdump -p "$vagus" | awk '$1 == "NEEDED" { print $2 }')"
[ -n "$direct" ] || { echo "$vagus needs no library at all?"; exit 1; }
owners=""
while read -r name; do
    path="$(ldd "$vagus" | awk -v n="$name" '$1 == n { print $3 }')"
    # Debian 12 merged /lib into /usr/lib, but a package may list the old path.
    owner="$(dpkg-query -S "$(realpath "$path")" "$path" 2>/dev/null | head -n 1 | cut -d : -f 1 || true)"
    owners+="$owner"$'\n'
    case "$owner" in
        libc6 | libasan* | libubsan* | libtsan*) continue ;;
    esac
    grep -qxF -- "$owner" <<<"$listed" || { echo "$name is of $owner, which packages.txt does not list under run"; status=1; }
done < <(grep -v '^ld-linux' <<<"$direct")
while read -r package; do
    [ "$package" != ca-certificates ] || continue # files that a library reads; none is loaded
    grep -qxF -- "$package" <<<"$owners" || { echo "packages.txt lists $package under run, but $vagus does not load it"; status=1; }
done <<<"$listed"

twice="$(docker/install-packages.sh --print build run test cuda bundle | sort | uniq -d)"
[ -z "$twice" ] || { echo "packages.txt lists twice: $twice"; status=1; }
if docker/install-packages.sh --print no-such-section 2>/dev/null; then echo "an unknown section is accepted"; status=1; fi
[ $status = 0 ] && echo "$(grep -c . <<<"$direct") libraries"
exit $status
