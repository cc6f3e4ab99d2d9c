#!/bin/bash
# What chaos/only_slow lets be played again: nothing that could be a fault of the product.
#   tests/unit/lab/only_slow.sh CHAOS/ONLY_SLOW
set -euo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0

# judged WANTED LINES...: a scenario blamed for these.
judged() {
    local wanted=$1 said
    shift
    {
        echo 'calm (ttl 3000 ms, sync required): ok'
        echo 'tried (ttl 3000 ms, sync required): NOT OK'
        printf '%s\n' "$@"
        echo 'after (ttl 3000 ms, sync required): ok'
    } >"$log"
    said=$("$only_slow" "$log")
    [ "$said" = "$wanted" ] && return
    echo "blamed for '$*': '$said', and '$wanted' would be right"
    bad=1
}
only_slow=$1
slow='  !! writes waited 700.0 ms, and 500.0 would have been right'
before='  !! before the fault writes waited 1499.9 ms, and 500.0 would have been right'

judged tried "$slow"
judged tried "$slow" "$before"
judged '' '  !! writes waited 1500.0 ms, and 500.0 would have been right'
judged '' '  !! before the fault writes waited 20000.0 ms, and 500.0 would have been right'
judged '' "$slow" '  !! the old side acknowledged 5.0 ms after its lease'
judged '' "$slow" '  !! the writer was not acknowledged at the end'
judged '' '  !! the workload was not answered at the end'
judged ''
exit $bad
