#!/bin/sh
# no_spills.sh <folder of the plug-in's objects> <architecture>...: reads what ptxas said when the plug-in was built and
# fails where a kernel of attention at head sizes 64 or 128 or one of a training step is missing for an architecture, or
# where any kernel spills registers, or the compiler lets warp-group products wait for each other or ignores how registers
# are divided.
folder=$1
shift
reports=$(find "$folder" -name '*.report')
[ -n "$reports" ] || { echo "no compiler reports under $folder: build the target omni_cuda" >&2; exit 1; }
cat $reports | awk -v wanted="$*" '
  /Compiling entry function/ {
    split($0, quoted, "\047")
    kernel = quoted[2]
    architecture = quoted[4]
    seen[kernel, architecture] = 1
  }
  /bytes spill stores/ {
    count += 1
    if ($5 != 0 || $9 != 0) { print kernel " for " architecture ": " $0; failed = 1 }
  }
  /wgmma.mma_async instructions are serialized|setmaxnreg.*ignored/ { print; failed = 1 }
  /Used [0-9]+ registers/ {
    for (i = 1; i < NF; ++i) if ($i == "Used") print $(i + 1) " registers: " kernel " for " architecture
  }
  END {
    architectures = split(wanted, list, " ")
    # As they are mangled: the length before the name. Those for Hopper are empty elsewhere.
    names = split("17attention_forward 22attention_key_gradient 24attention_query_gradient " \
                  "24hopper_attention_forward 29hopper_attention_key_gradient 31hopper_attention_query_gradient", name, " ")
    for (a = 1; a <= architectures; ++a)
      for (n = 1; n <= names; ++n) {
        if (name[n] ~ /hopper/ && list[a] != "90a") continue
        for (size = 64; size <= 128; size += 64) {
          found = 0
          for (key in seen) {
            split(key, part, SUBSEP)
            if (part[2] == "sm_" list[a] && index(part[1], name[n]) && index(part[1], "Li" size "E")) found = 1
          }
          if (!found) { print "no report of " name[n] " at head size " size " for sm_" list[a]; failed = 1 }
        }
      }
    steps = split("14swiglu_forward 15swiglu_backward 5adamw 13norm_gradient 13head_rotation 22head_rotation_gradient " \
                  "13cross_entropy 6gather 11add_windows 13add_continued 11code_shares 13code_gradient 11column_sums", step, " ")
    for (a = 1; a <= architectures; ++a)
      for (n = 1; n <= steps; ++n) {
        found = 0
        for (key in seen) {
          split(key, part, SUBSEP)
          if (part[2] == "sm_" list[a] && index(part[1], step[n] "I")) found = 1
        }
        if (!found) { print "no report of the kernel " step[n] " for sm_" list[a]; failed = 1 }
      }
    if (count == 0) { print "the reports hold no kernel"; failed = 1 }
    exit failed
  }'
