#!/usr/bin/env bash
# Makes the pictures of the documents from what the demo left, into a folder of its own.
#   make_images.sh <the demo's output>
set -uo pipefail
demo=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
[ -e "$demo/report.html" ] || { echo "skipped: there is no demo's output at $demo; run demo.smoke first"; exit 77; }
command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null ||
  { echo "skipped: there is no Chromium on PATH"; exit 77; }
. "$(dirname "$0")/expectations.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check 'the script makes them' "$source/tools/make_images.sh" "$demo" "$work/images"
for picture in "$source"/docs/images/*.png; do
  name=$(basename "$picture")
  present "$work/images/$name"
  check "$name is shown by a document" grep -rqF "images/$name" "$source/README.md" "$source/docs"
  # Width and height, which the PNG's head tells.
  size() { od -An -tx1 -j16 -N8 "$1"; }
  check "$name keeps its size" [ "$(size "$picture")" = "$(size "$work/images/$name")" ]
done
finish
