"""How much of the ranks' communication goes beside computation, from timelines that `omni ... --profile` wrote.
  hidden_communication.py <trace.json>...
Of each step: how long calls were at work, how much of that lies in forward and backward passes that did not wait for it
(hidden), and a line of 80 cells: f, b a pass that computes, capital where a call is at work beside it; w a call that is
waited for; o all else. Calls are at work while all ranks are in one, or a slow rank would count as communication. So all
ranks' traces are wanted, of one host, whose ranks share a clock. Fails where there is no call."""
import json
import sys

CELLS = 80


def union(intervals):
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


def intersect(first, second):
    result, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            result.append([start, end])
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return result


def without(first, second):
    result = []
    for start, end in first:
        for cut_start, cut_end in intersect([[start, end]], second):
            if start < cut_start:
                result.append([start, cut_start])
            start = cut_end
        if start < end:
            result.append([start, end])
    return result


def length(intervals):
    return sum(end - start for start, end in intervals)


def common_calls(traces):
    at_work = None
    for trace in traces:
        calls = union([e["ts"], e["ts"] + e["dur"]] for e in trace["traceEvents"]
                      if e["ph"] == "X" and e["name"] == "communication")
        if not calls:
            sys.exit("hidden_communication: a trace has no call. Profile several ranks, and give all of their files")
        at_work = calls if at_work is None else intersect(at_work, calls)
    if not at_work:
        sys.exit("hidden_communication: no call was at work on all ranks at once. Do they share a clock?")
    return at_work


def main():
    sums = [0.0, 0.0]
    traces = []
    for path in sys.argv[1:]:
        with open(path) as file:
            traces.append(json.load(file))
    at_work = common_calls(traces)
    for path, trace in zip(sys.argv[1:], traces):
        events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
        steps = [e for e in events if e["name"].startswith("step ") and e["cat"] == "step"]
        spans = {}
        for event in events:
            spans.setdefault(event["name"], []).append([event["ts"], event["ts"] + event["dur"]])
        waits = union(spans.get("wait for communication", []))
        forward, backward = (without(union(spans.get(name, [])), waits) for name in ("forward", "backward"))
        print(f"rank {trace['otherData']['rank']}: {path}")
        for step in steps:
            begin, end = step["ts"], step["ts"] + step["dur"]
            whole = [[begin, end]]
            calls = intersect(at_work, whole)
            hidden = length(intersect(calls, union(forward + backward)))
            sums[0] += hidden
            sums[1] += length(calls)
            print(f"  {step['name']}: {1e-6 * step['dur']:.3f} s, communication {1e-6 * length(calls):.3f} s, "
                  f"hidden {100 * hidden / max(1, length(calls)):.1f} %, waited for "
                  f"{1e-6 * length(intersect(calls, waits)):.3f} s")
            line = ""
            for cell in range(CELLS):
                own = [[begin + cell * (end - begin) / CELLS, begin + (cell + 1) * (end - begin) / CELLS]]
                shares = {"f": length(intersect(forward, own)), "b": length(intersect(backward, own)),
                          "w": length(intersect(waits, own)), "o": 0.25 * length(own)}
                letter = max(shares, key=shares.get)
                busy = length(intersect(calls, own)) > 0.5 * length(own)
                line += letter.upper() if busy and letter in "fb" else letter
            print("    " + line)
    print(f"communication hidden: {100 * sums[0] / max(1, sums[1]):.1f} %")


main()
