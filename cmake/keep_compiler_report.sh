#!/bin/sh
# keep_compiler_report.sh <compiler> <argument>...: runs the compiler and keeps what it says in <object>.report. Lines
# that are not ptxas's account of the kernels are shown, all of them where the compiler fails.
object=
previous=
for argument in "$@"; do
  [ "$previous" = "-o" ] && object=$argument
  previous=$argument
done
[ -n "$object" ] || exec "$@"
"$@" 2> "$object.report"
status=$?
if [ $status -ne 0 ]; then
  cat "$object.report" >&2
else
  grep -v -e '^ptxas info' -e 'bytes stack frame' -e '^$' "$object.report" >&2
fi
exit $status
