#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "omni/checkpoint/manifest.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/checkpoint/shard.h"

namespace omni::checkpoint {

// What a rank says of its shard.
struct ShardReport {
  StoredFile file;
  std::string error;  // why it could not be written; empty: it is on disk
};
// Called on every rank from the thread that writes. Returns on rank 0 what all ranks said, in their order; what
// it returns elsewhere does not matter.
using GatherReports = std::function<std::vector<ShardReport>(std::int64_t step, const ShardReport& own)>;

struct WriterPlace {
  std::filesystem::path run_folder;
  int rank = 0, ranks = 1;
  GatherReports gather;  // of several ranks
  Retention retention;   // rank 0 sees to it
};

// Writes checkpoints while the run goes on, one at a time. A checkpoint that cannot be written is named in a
// warning; nothing of it is left, and the older ones stay. When the next one is there, those that need not be
// kept are removed.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(WriterPlace place) : place_(std::move(place)) {}
  ~CheckpointWriter() { wait(); }
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Returns at once, after the one before has been written. `pieces` are this rank's; what they lie in must
  // stay as it is until wait(). The manifest's shards are filled in.
  // The checkpoint of step `kept` stays, whatever the retention says.
  void start(Manifest manifest, std::vector<Piece> pieces, std::optional<std::int64_t> kept = std::nullopt);
  // Until nothing is being written.
  void wait();
  // Likewise, and throws the Error of the last checkpoint that was started, where it could not be written.
  void finish();

 private:
  void write(Manifest manifest, const std::vector<Piece>& pieces) const;
  WriterPlace place_;
  std::thread thread_;
  std::exception_ptr error_;
};

}  // namespace omni::checkpoint
