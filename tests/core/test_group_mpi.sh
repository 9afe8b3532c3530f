#!/usr/bin/env bash
# Groups whose ranks Open MPI's mpirun starts: over its library, over TCP where there is none, and with a rank that
# dies or stops. test_group_mpi.sh TEST_GROUP TEST_GROUP_LOSS
set -uo pipefail
group="$1" loss="$2"
command -v mpirun >/dev/null || { echo "skipped: there is no mpirun here (Debian's openmpi-bin)"; exit 77; }
mpirun --version 2>/dev/null | grep -q "Open MPI" || { echo "skipped: this mpirun is not Open MPI's"; exit 77; }
case "${VAGUS_SANITIZED:-}" in
    *thread*) echo "skipped: ThreadSanitizer cannot follow Open MPI's own threads"; exit 77 ;;
esac
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" # Open MPI's own
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
work="$(mktemp -d "${TMPDIR:-/tmp}/vagus-mpi-XXXXXX")"
trap 'rm -rf "$work"' EXIT
status=0

# run NAME SECONDS RANKS COMMAND...: the output is in $work/NAME, the exit status in $code.
run() {
    local name="$1" seconds="$2" ranks="$3"
    shift 3
    head -c 64 /dev/zero >"$work/$name.board" # where the ranks of the test meet
    TEST_BOARD="$work/$name.board" timeout -k 5 "$seconds" mpirun -np "$ranks" "$@" >"$work/$name" 2>&1
    code=$?
}
wrong() {
    echo "FAILED: $*"
    status=1
}
# says NAME TEXT [TIMES]
says() {
    local times
    times="$(grep -cF -- "$2" "$work/$1")"
    [ "$times" = "${3:-1}" ] && return
    wrong "$1: '$2' is said $times times and not ${3:-1}:"
    cat "$work/$1"
}

if ! "$group" has-mpi >"$work/has" 2>&1; then
    echo "skipped: $(cat "$work/has")"
    exit 77
fi

for ranks in 1 2 3 4; do
    over=mpi
    [ $ranks = 1 ] && over=alone
    run "sums-$ranks" 60 $ranks "$group" $over
    [ $code = 0 ] || wrong "$ranks ranks end with $code"
    says "sums-$ranks" "of $ranks over $over: OK" $ranks
done

# Ranks that believe to be on hosts of their own meet at an address of rank 0's that answers.
run hosts 60 3 env OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1 "$group" mpi
[ $code = 0 ] || wrong "as on three hosts, ranks end with $code"
says hosts "of 3 over mpi: OK" 3

# Without the library: TCP where rank 0's place is told, and a way out where it is not.
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')"
run no-library 60 2 -x VAGUS_MPI_LIBRARIES=none -x MASTER_ADDR=127.0.0.1 -x "MASTER_PORT=$port" "$group" tcp
[ $code = 0 ] || wrong "without the library the ranks end with $code"
says no-library "of 2 over tcp: OK" 2
run herald 60 2 -x TEST_TRANSPORT=tcp "$group" tcp # MPI tells where
[ $code = 0 ] || wrong "over TCP, with a place that MPI tells, the ranks end with $code"
says herald "of 2 over tcp: OK" 2
run no-master 60 2 -x VAGUS_MPI_LIBRARIES=none "$group" tcp
[ $code != 0 ] || wrong "ranks meet without a place to meet at"
says no-master "set MASTER_ADDR and MASTER_PORT for all" 2

# The others are told by the group, before mpirun ends them (and wakes the stopped one, which may then say so too).
for how in kill stop; do
    run $how 30 3 "$loss" $how
    case $code in 0 | 124) wrong "$how: mpirun ends with $code" ;; esac
    says $how "rank 0 of 3 over mpi: ERR_PEER"
    says $how "rank 2 of 3 over mpi: ERR_PEER"
done
# MPI_Init does not come back while a rank is missing; the process comes to its end all the same.
run absent 40 3 "$loss" absent
case $code in 0 | 124) wrong "absent: mpirun ends with $code" ;; esac
grep -qF "rank 0: the start of mpi: transport mpi has not come back for" "$work/absent" || {
    wrong "a rank that does not arrive:"
    cat "$work/absent"
}
[ $status = 0 ] && echo "1 to 4 ranks, with and without the library, and three losses"
exit $status
