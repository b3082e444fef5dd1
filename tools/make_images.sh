#!/usr/bin/env bash
# Makes the pictures of README.md and docs/ anew. Needs the program's build, what tools/demo.sh leaves, and Chromium.
#   tools/make_images.sh             from out/demo into docs/images
#   tools/make_images.sh DEMO DIR    from another folder of the demo into another folder
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
demo=${1:-out/demo} images=${2:-docs/images}
omni=build/release/omni
die() { printf 'make_images: %s\n' "$*" >&2; exit 1; }
[ -x "$omni" ] || die "there is no $omni. Build it: tools/setup.sh"
[ -f "$demo/report.html" ] || die "there is no $demo/report.html. Run tools/demo.sh"
browser=$(command -v chromium chromium-browser google-chrome google-chrome-stable | head -n 1) ||
  die "no Chromium on PATH. Install it: apt-get install chromium"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

world() { "$omni" data preview --count 48 --out "$1"; }

chair() { "$omni" sample --prompt "a red chair" --preview "$1" 2>/dev/null; }

demo() {
  "$browser" --headless --no-sandbox --disable-dev-shm-usage --hide-scrollbars --user-data-dir="$profile" \
    --window-size=1200,1500 --screenshot="$1" "file://$(realpath "$demo/report.html")" >"$profile/log" 2>&1 ||
    { cat "$profile/log" >&2; die "Chromium took no picture of $demo/report.html"; }
}

# Every picture that the documents show, so that none goes stale unseen.
mkdir -p "$images"
for name in $(grep -ohE 'images/[A-Za-z0-9_-]+\.png' README.md docs/*.md | sort -u | sed 's,^images/,,; s,\.png$,,'); do
  [ "$(type -t "$name")" = function ] || die "the documents show images/$name.png, which nothing here makes"
  "$name" "$images/$name.png"
  [ -s "$images/$name.png" ] || die "$images/$name.png was not written"
  printf 'make_images: %s\n' "$images/$name.png"
done
