#!/usr/bin/env bash
# Fetches files of a public model from a hub, and checks them.
#   fetch-weights.sh HUB REPOSITORY FILE... [--revision REVISION] [--out FOLDER] [--attempts N]
#
# HUB: the hub's address, such as https://hub.example; its files lie at HUB/REPOSITORY/resolve/REVISION/FILE, and a HEAD of
# that states a size and a checksum, as X-Linked-Size and X-Linked-Etag (SHA-256) for large files, else as Content-Length
# and ETag (git's SHA-1 of a blob). REVISION: main, unless given. FOLDER: the one that the command is called in. Of an index
# (FILE.index.json) the shards that it lists are fetched, too.
#
# A file appears under its name once it is whole and right. What was fetched before a break (FILE.part) is gone on from, by
# this call for N attempts (5) and by the next one; where the server cannot do that, the file is fetched anew. Exits with 0,
# with 1 where a file could not be had, and with 2 for wrong arguments.
set -uo pipefail

fail() { echo "fetch-weights: $*" >&2; exit 1; }
usage() { echo "fetch-weights: $*. See the head of $0" >&2; exit 2; }

words=() revision=main out=. attempts=5
while [ $# -gt 0 ]; do
  case "$1" in
    --revision | --out | --attempts)
      [ $# -ge 2 ] || usage "$1 needs a value"
      case "$1" in --revision) revision=$2 ;; --out) out=$2 ;; --attempts) attempts=$2 ;; esac
      shift 2 ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) usage "there is no option $1" ;;
    *) words+=("$1"); shift ;;
  esac
done
[ "${#words[@]}" -ge 3 ] || usage "give the hub's address, a repository and at least one file"
hub=${words[0]%/} repository=${words[1]} files=("${words[@]:2}")
[[ $hub =~ ^https?://[^/] ]] || usage "'$hub' is no address: it begins with https:// or http://"
[[ $attempts =~ ^[1-9][0-9]{0,3}$ ]] || usage "--attempts is '$attempts'; it must be a number from 1 to 9999"
# What ends up in an address and in a path: letters, digits and a few marks, no way upwards.
is_path() { [[ $1 =~ ^[A-Za-z0-9._][A-Za-z0-9._/-]*$ && ! $1 =~ (^|/)\.\.?(/|$) && $1 != */ && $1 != *//* ]]; }
for word in "$repository" "$revision" "${files[@]}"; do is_path "$word" || usage "'$word' is no name on a hub"; done
command -v curl >/dev/null || fail "curl is not there. Install it"
mkdir -p "$out" || fail "cannot make the folder $out"

# What of redirects the last one says, and what the first one: the hub itself.
header() { sed -nE "s/^$1: *(W\/)?\"?([^\"]*[^\" ])\"? *$/\2/Ip" <<<"$2" | tail -n 1; }
first_header() { sed -nE "s/^$1: *(W\/)?\"?([^\"]*[^\" ])\"? *$/\2/Ip" <<<"$2" | head -n 1; }
get() {
  local secure=()
  [[ $hub != https:* ]] || secure=(--proto-redir '=https')
  curl --silent --show-error --location --max-redirs 5 "${secure[@]}" --connect-timeout 30 --speed-limit 1 --speed-time 60 \
    --header 'Accept-Encoding: identity' "$@"
}

# Sets $size and $sum as the hub states them; $sum is empty where it states none.
ask() {
  local url=$1 answer
  answer=$(get --head --max-time 120 --retry 2 --write-out 'status: %{http_code}\n' "$url" 2>&1 | tr -d '\r') || fail "cannot reach $url: $(tail -n 1 <<<"$answer")"
  local status
  status=$(header status "$answer")
  [ "$status" = 200 ] || fail "$url answers $status, not 200. Check repository, revision and file"
  size=$(first_header x-linked-size "$answer") sum=$(first_header x-linked-etag "$answer")
  [ -n "$size" ] || size=$(header content-length "$answer")
  [ -n "$sum" ] || sum=$(header etag "$answer")
  [[ $size =~ ^[0-9]+$ ]] || fail "$url: the hub does not state its size"
  sum=${sum,,}
  [[ $sum =~ ^([0-9a-f]{64}|[0-9a-f]{40})$ ]] || sum=
}

size_of() { stat -c %s "$1" 2>/dev/null || echo 0; }
sum_of() {
  if [ "${#sum}" = 64 ]; then sha256sum <"$1"; else { printf 'blob %s\0' "$(size_of "$1")"; cat "$1"; } | sha1sum; fi | cut -d ' ' -f 1
}
is_right() { [ "$(size_of "$1")" = "$size" ] && { [ -z "$sum" ] || [ "$(sum_of "$1")" = "$sum" ]; }; }

# Goes on with PART until it has as many bytes as it should. 33: the server does no ranges; 36: the part does not fit it.
download() {
  local url=$1 part=$2 code attempt status
  for attempt in $(seq "$attempts"); do
    [ "$(size_of "$part")" -gt "$size" ] && rm -f "$part"
    if [ -e "$part" ] && [ "$(size_of "$part")" = "$size" ]; then return 0; fi
    code=0
    status=$(get --fail --continue-at - --output "$part" --write-out '%{http_code}' "$url") || code=$?
    [ "$code" != 0 ] || [ -e "$part" ] || : >"$part"  # an empty file
    case $code in
      0) [ "$(size_of "$part")" -ge "$size" ] || continue ;;
      22) [[ $status != 4* || $status = 408 || $status = 429 ]] || fail "$url answers $status"
        sleep "$((attempt < 5 ? attempt : 5))" ;;
      23) fail "cannot write $part. Check the disk" ;;
      33 | 36) rm -f "$part" ;;
      *) sleep "$((attempt < 5 ? attempt : 5))" ;;
    esac
  done
  [ "$(size_of "$part")" = "$size" ]
}

fetch() {
  local file=$1 url="$hub/$repository/resolve/$revision/$1" place="$out/$1" size sum resumed
  local part="$place.part"
  mkdir -p "$(dirname "$place")" || fail "cannot make the folder of $place"
  ask "$url"
  if [ -e "$place" ] && is_right "$place"; then
    if [ -n "$sum" ]; then echo "$place: there already"; else echo "$place: there already, as long as it should be; the hub states no checksum"; fi
    return
  fi
  [ -n "$sum" ] || rm -f "$part"  # of which state of the file it is, nothing would tell
  resumed=$(size_of "$part")
  download "$url" "$part" || fail "$url broke off after $(size_of "$part") of $size bytes. The same command goes on from there"
  if ! is_right "$part" && [ "$resumed" -gt 0 ]; then  # begun of another state of the file
    rm -f "$part"
    download "$url" "$part" || fail "$url broke off after $(size_of "$part") of $size bytes. The same command goes on from there"
  fi
  if ! is_right "$part"; then
    rm -f "$part"
    fail "$url: what came is not what the hub states ($size bytes, checksum ${sum:-none}). It is thrown away"
  fi
  mv -f "$part" "$place" || fail "cannot write $place"
  if [ -n "$sum" ]; then echo "$place: $size bytes, checksum right"; else echo "$place: $size bytes; the hub states no checksum"; fi
}

for file in "${files[@]}"; do
  fetch "$file"
  [[ $file == *.index.json ]] || continue
  folder=$(dirname "$file")
  while IFS= read -r shard; do
    is_path "$shard" && [[ $shard != */* ]] || fail "$out/$file lists '$shard', which is no file beside it"
    if [ "$folder" = . ]; then fetch "$shard"; else fetch "$folder/$shard"; fi
  done < <(grep -oE '"[^"]*\.safetensors"' "$out/$file" | tr -d '"' | sort -u)
done
