#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace omni::checkpoint {

inline constexpr const char* kManifestName = "manifest.json";

// The number of RunState by which optimisers count their updates.
inline constexpr const char* kOptimizerSteps = "optimizer_steps";

struct StoredFile {
  std::string name;  // relative, with '/' between its parts
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // hash_file()
  bool operator==(const StoredFile&) const = default;
};

// How far a run is, and what else it needs beside tensors to go on as if it had never stopped.
struct RunState {
  std::int64_t step = 0;    // steps done
  std::int64_t tokens = 0;  // trained on so far
  double seconds = 0;       // of training, over all sessions
  // Fingerprints of what the run reads; empty where the checkpoint is older than such records.
  std::map<std::string, std::string> inputs;
  // By name, whatever the trainer keeps: counters, sums of steps that are not logged yet. What is not finite
  // comes back as not a number.
  std::map<std::string, double> numbers;
};

// What makes the files of a checkpoint one: it is written last.
struct Manifest {
  RunState run;
  std::int64_t written = 0;        // when, in seconds since 1970
  std::string config;              // of the run, as YAML
  std::vector<StoredFile> shards;  // beside the manifest, one of each rank
  std::vector<StoredFile> common;  // in the folder of what all checkpoints of the run have in common
};

// The text carries a checksum of itself.
std::string to_json(const Manifest& manifest);
// Throws Error(input), beginning with `name`, for anything but what to_json() makes.
Manifest parse_manifest(std::string_view text, const std::string& name);

}  // namespace omni::checkpoint
