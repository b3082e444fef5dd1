#include "omni/checkpoint/writer.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/system_info.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int kNiceness = 10;

// Training comes first where cores are few. On Linux a thread has a niceness of its own.
void give_way() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNiceness); }

ShardReport written(const fs::path& path, const std::vector<Piece>& pieces) {
  try {
    prepare_output_directory(path.parent_path());
    return {write_shard(path, pieces), ""};
  } catch (const std::exception& error) {
    return {{path.filename().string(), 0, 0}, error.what()};
  }
}

}  // namespace

void CheckpointWriter::start(Manifest manifest, std::vector<Piece> pieces, std::optional<std::int64_t> kept) {
  wait();
  place_.retention.step = kept;
  error_ = nullptr;
  thread_ = std::thread([this, manifest = std::move(manifest), pieces = std::move(pieces)]() mutable {
    give_way();
    const std::int64_t step = manifest.run.step;
    try {
      write(std::move(manifest), pieces);
    } catch (const std::exception& error) {
      // Of all ranks' shards; another rank has told rank 0 of its own.
      if (place_.rank == 0) log_warning("the checkpoint of step ", step, " was not written: ", error.what());
      error_ = std::current_exception();
    }
  });
}

void CheckpointWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::finish() {
  wait();
  if (error_) std::rethrow_exception(error_);
}

void CheckpointWriter::write(Manifest manifest, const std::vector<Piece>& pieces) const {
  const fs::path folder = checkpoint_path(place_.run_folder, manifest.run.step);
  const fs::path shard = folder / shard_name(place_.rank, place_.ranks);
  const ShardReport own = written(shard, pieces);
  const std::vector<ShardReport> reports =
      place_.gather ? place_.gather(manifest.run.step, own) : std::vector<ShardReport>{own};
  if (place_.rank != 0) {
    if (!own.error.empty()) fail(ErrorKind::io, own.error);
    return;
  }
  try {
    for (std::size_t rank = 0; rank < reports.size(); ++rank) {
      const ShardReport& report = reports[rank];
      if (!report.error.empty())
        fail(ErrorKind::io, reports.size() > 1 ? concat("rank ", rank, ": ") : "", report.error);
      manifest.shards.push_back(report.file);
    }
    manifest.written = static_cast<std::int64_t>(seconds_since_1970());
    write_file_atomically(folder / kManifestName, to_json(manifest));
  } catch (...) {
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) fs::remove_all(folder, ignored);
    throw;
  }
  sync_folder(place_.run_folder);
  retire(place_.run_folder, place_.retention);
}

}  // namespace omni::checkpoint
