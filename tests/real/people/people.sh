#!/bin/bash
# Users, tokens and second factors of a real cluster, by the tools that people use: the CLI,
# curl and oathtool. What is refused to whom is tests/refusals' to try.
#   tests/real/people/people.sh BIN
set -uo pipefail
bin=$1
dir=$(mktemp -d /tmp/rf-people.XXXXXX)
pids=()
passed=0 failed=0

finish() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    wait 2>/dev/null
    [ "$failed" = 0 ] && rm -rf "$dir" || echo "what the controllers said is in $dir"
}
trap finish EXIT

# Six ports that nobody has at this moment.
read -r -a ports < <(python3 -c '
import socket
s = [socket.socket() for _ in range(6)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
names=(east west witness)

"$bin/ringfence" pki init --dir "$dir/pki" --cluster lab >"$dir/pki.log" || exit 1
for n in "${names[@]}"; do
    "$bin/ringfence" pki issue --dir "$dir/pki" controller "$n" >>"$dir/pki.log" || exit 1
done
"$bin/ringfence" pki issue --dir "$dir/pki" user vera >>"$dir/pki.log" || exit 1
openssl rand -hex 32 >"$dir/secrets.key"
mkdir "$dir/jwt"
python3 "$(dirname "$0")/../../unit/people/make_jwt.py" "$dir/jwt" now || exit 1
chmod 0600 "$dir/secrets.key"
# The provider: its keys by HTTPS, under a certificate of its own.
python3 "$(dirname "$0")/../../unit/outbound/servers.py" webs "$dir/jwt" 0 >"$dir/provider" &
pids[3]=$!
until [ -s "$dir/provider" ]; do
    kill -0 "${pids[3]}" || exit 1
    sleep 0.2
done
provider=https://127.0.0.1:$(cat "$dir/provider")

for i in 0 1 2; do
    n=${names[$i]}
    cat >"$dir/$n.yaml" <<END
cluster: lab
name: $n
data_dir: $dir/$n
listen: 127.0.0.1:${ports[$i]}
socket: $dir/$n.sock
secrets_key: $dir/secrets.key
oidc: {issuer: "https://id.example", audience: ringfence, keys: "$provider/jwks.json", ca: $dir/jwt/ca.pem}
api: {listen: "127.0.0.1:${ports[$((i + 3))]}"}
tls: {ca: $dir/pki/ca.crt, cert: $dir/pki/controller-$n.crt, key: $dir/pki/controller-$n.key}
raft: {election: 300ms, heartbeat: 50ms}
controllers:
  - {id: 1, name: east, region: east, address: "127.0.0.1:${ports[0]}"}
  - {id: 2, name: west, region: west, address: "127.0.0.1:${ports[1]}"}
  - {id: 3, name: witness, region: witness, address: "127.0.0.1:${ports[2]}"}
END
    mkdir -m 0700 "$dir/$n"
    "$bin/ringfenced" --bootstrap --config "$dir/$n.yaml" >"$dir/$n.log" 2>&1 &
    pids[i]=$!
done

rf() { "$bin/ringfence" --socket "$dir/$via.sock" "$@" 2>&1; }
via=east

leader() { # as `via` says; waits for one
    local until=$((SECONDS + 30)) name
    while [ $SECONDS -lt $until ]; do
        name=$(rf status --json | python3 -c '
import json, sys
try: print(json.loads(sys.stdin.readline()).get("leader") or "")
except ValueError: print("")' 2>/dev/null)
        [ -n "$name" ] && echo "$name" && return 0
    done
    return 1
}

# expect WHAT TEXT COMMAND...: its output has TEXT.
expect() {
    local what=$1 text=$2 said
    shift 2
    said=$("$@" 2>&1)
    if [[ $said == *"$text"* ]]; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what: '$text' is not in: $said"
    fi
}

code_at() { oathtool --totp -b -N "@$1" "$secret"; }
now() { date +%s; }
# As somebody at the network's door of the controller `via`: token, code, method, path, body.
door() {
    local port=${ports[3]} headers=(-H "Content-Type: application/json")
    [ "$via" = west ] && port=${ports[4]}
    [ "$via" = witness ] && port=${ports[5]}
    [ -n "$1" ] && headers+=(-H "Authorization: Bearer $1")
    [ -n "$2" ] && headers+=(-H "X-Ringfence-TOTP: $2")
    curl -sk --max-time 20 "${headers[@]}" -X "$3" -d "$5" "https://127.0.0.1:$port$4"
}

first=$(leader) || { echo "FAILED: no leader"; failed=1; exit 1; }
echo "leader: $first"

# Users need all who are configured to have said that they know them (docs/api.md).
announced() {
    local until=$((SECONDS + 30))
    while [ $SECONDS -lt $until ]; do
        curl -s --unix-socket "$dir/$via.sock" http://ringfenced/api/v1/version |
            grep -q '"keys": *true' && return 0
        sleep 0.1
    done
    return 1
}
announced || { echo "FAILED: not all have announced themselves"; failed=1; exit 1; }

# ---- users and tokens, made at the socket ------------------------------------------------
expect "root is root" 'root, by socket' rf whoami
expect "an admin" "user adam: has the roles" rf user add adam --role admin
expect "a limited operator" "user olga" rf user add olga --role operator --group orders
expect "a viewer" "user vera" rf user add vera --role viewer
expect "no such role" "roles[0]" rf user add evil --role root
adam=$(rf user token adam | head -1)
olga=$(rf user token olga --days 30 | head -1)
expect "tokens look as they do" "rf_adam_" echo "$adam"

expect "who has a token is known" '"name":"adam"' door "$adam" "" GET /api/v1/whoami ""
expect "nobody is nobody" "not-authenticated" door "" "" GET /api/v1/status ""
expect "a made-up token" "nobody's" door "rf_adam_${olga#rf_olga_}" "" GET /api/v1/whoami ""
expect "a certificate is its user's" '"name":"vera"' curl -s --cacert "$dir/pki/ca.crt" \
    -k --cert "$dir/pki/user-vera.crt" --key "$dir/pki/user-vera.key" \
    "https://127.0.0.1:${ports[3]}/api/v1/whoami"
expect "an operator makes no users" "wrong-role" door "$olga" "" POST /api/v1/users "{}"
expect "an admin without a factor" "no-second-factor" \
    door "$adam" "" POST /api/v1/users '{"name":"x","roles":["viewer"]}'

# ---- JWTs that openssl made ---------------------------------------------------------------
jwt() { door "$(cat "$dir/jwt/$1.jwt")" "" GET /api/v1/whoami ""; }
expect "a JWT of nobody's" "unknown-user" jwt rs256
expect "a user for it" "user anna: has the roles" rf user add anna --role viewer
expect "RS256" '"name":"anna","means":"jwt"' jwt rs256
expect "ES256" '"name":"anna","means":"jwt"' jwt es256
expect "its roles do not count" '"roles":["viewer"]' jwt rs256
expect "the keys are fetched" "the provider's keys (2) were fetched" rf doctor

# The provider has a new key: it is asked anew, once a minute, and the old one counts no more.
expect "a key of tomorrow" "fetched anew" jwt unknown-kid
cp "$dir/jwt/rotated.json" "$dir/jwt/jwks.json"
until=$((SECONDS + 150))
until [[ $(jwt unknown-kid) == *'"name":"anna"'* ]] || [ $SECONDS -gt $until ]; do sleep 2; done
expect "is known after a while" '"name":"anna","means":"jwt"' jwt unknown-kid
expect "yesterday's is not" "fetched anew" jwt rs256
echo "nonsense" >"$dir/jwt/jwks.json"
expect "garbage lets nobody in" "fetched anew" jwt rs256
expect "and keeps nobody out" '"name":"anna","means":"jwt"' jwt unknown-kid

# ---- the second factor -------------------------------------------------------------------
enrolled=$(rf user totp adam)
secret=$(sed -n 's/.*secret=\([A-Z2-7]*\).*/\1/p' <<<"$enrolled")
recovery=$(grep -m1 -oE '[a-z2-7]{4}(-[a-z2-7]{4}){3}' <<<"$enrolled")
new='{"name":"x","roles":["viewer"]}'
expect "a code is asked for" "second-factor-needed" door "$adam" "" POST /api/v1/users "$new"
used=$(code_at "$(now)")
expect "oathtool's code is right" '"index":' door "$adam" "$used" POST /api/v1/users "$new"
expect "and good once" "code-used" door "$adam" "$used" POST /api/v1/users "$new"
via=west
expect "at any controller" "code-used" door "$adam" "$used" POST /api/v1/users "$new"
via=witness
expect "at the third one too" "code-used" door "$adam" "$used" POST /api/v1/users "$new"

# ---- another leader knows what the first one has heard -----------------------------------
for i in 0 1 2; do
    if [ "${names[$i]}" = "$first" ]; then
        kill -KILL "${pids[$i]}"
        down=$i
    else
        via=${names[$i]}
    fi
done
second=$first
until [ "$second" != "$first" ]; do second=$(leader) || break; done
echo "leader: $second"
expect "a used code after a change of leader" "code-used" \
    door "$adam" "$used" POST /api/v1/users "$new"
expect "a recovery code" '"index":' door "$adam" "$recovery" POST /api/v1/users "$new"
expect "and good once" "wrong-code" door "$adam" "$recovery" POST /api/v1/users "$new"
"$bin/ringfenced" --config "$dir/${names[$down]}.yaml" >>"$dir/${names[$down]}.log" 2>&1 &
pids[down]=$!

# ---- wrong codes --------------------------------------------------------------------------
for i in 2 3 4 5; do
    expect "wrong code $i" "wrong-code" door "$adam" "000000" POST /api/v1/users "$new"
done
expect "the lock" "locked" door "$adam" "$(code_at "$(now)")" POST /api/v1/users "$new"
expect "is told" "LOCKED until" rf user list
expect "an end to it" "unlocked" rf user unlock adam
expect "a code of the next step" '"index":' \
    door "$adam" "$(code_at $(($(now) + 30)))" POST /api/v1/users "$new"

# ---- what was given is taken back -----------------------------------------------------------
# Streams end with the token that they were opened with, at whichever controller, and the
# trail hears of no refusal.
token=$(rf user token olga | head -1)
# Each of the three knows it once it has the entry: the one started again has to catch up.
for at in "${names[@]}"; do
    until=$((SECONDS + 30))
    until [[ $(via=$at door "$token" "" GET /api/v1/whoami "") == *'"name":"olga"'* ]] ||
        [ $SECONDS -ge $until ]; do
        sleep 0.2
    done
done
refused() { rf log --all --lines 1000 | grep -c "refused: not-authenticated"; }
before=$(refused)
curl -sk --max-time 60 -H "Authorization: Bearer $token" \
    "https://127.0.0.1:${ports[3]}/api/v1/status?follow=1" >"$dir/follow.status" &
streams=$!
curl -skN --max-time 60 -H "Authorization: Bearer $token" \
    "https://127.0.0.1:${ports[4]}/api/v1/events" >"$dir/follow.events" &
streams="$streams $!"
curl -sk --max-time 60 -H "Authorization: Bearer $token" \
    "https://127.0.0.1:${ports[5]}/api/v1/log?follow=1" >"$dir/follow.log" &
streams="$streams $!"
until [ -s "$dir/follow.status" ] && [ -s "$dir/follow.events" ] && [ -s "$dir/follow.log" ]; do
    kill -0 "${streams##* }" 2>/dev/null || break
    sleep 0.2
done
rf user token olga --revoke all >"$dir/revoked"
began=$(now)
wait $streams
took=$(($(now) - began))
expect "streams end when their token is revoked ($took s)" "soon" \
    bash -c "[ $took -le 5 ] && echo soon"
expect "the status says why" "is revoked, or has expired" cat "$dir/follow.status"
expect "events say why" "event: problem" cat "$dir/follow.events"
expect "the trail hears of one refusal at most" "quiet" \
    bash -c "[ $(($(refused) - before)) -le 1 ] && echo quiet"
expect "all tokens revoked" "all tokens are revoked" rf user token olga --revoke all
expect "are nobody's at once" "nobody's" door "$olga" "" GET /api/v1/whoami ""
expect "a user removed" "removed" rf user remove adam
expect "has no token" "nobody's" door "$adam" "" GET /api/v1/whoami ""

# ---- the trail -------------------------------------------------------------------------------
rf log --all --lines 1000 >"$dir/trail"
for word in "user adam has used the code of step" "user adam has used up recovery code" \
    "a wrong code for user adam" "by root (socket) from" "adam (token, totp) from 127.0.0.1" \
    "adam (token, recovery-code) from 127.0.0.1" "refused: wrong-role" "refused: code-used"; do
    expect "the trail: $word" "$word" cat "$dir/trail"
done
expect "no secret is in the trail" "none" \
    bash -c "grep -qE '$secret|$recovery|${adam#rf_adam_}' '$dir/trail' || echo none"
expect "nor in what the controllers say" "none" \
    bash -c "cat '$dir'/*.log | grep -qE '$secret|$recovery|${adam#rf_adam_}' || echo none"
expect "nor in the databases" "none" bash -c \
    "cat '$dir'/*/raft.db* | grep -aqE '$secret|$recovery|${adam#rf_adam_}' || echo none"

echo "$passed as expected, $failed not"
[ "$failed" = 0 ]
