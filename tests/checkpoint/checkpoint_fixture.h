#pragma once

#include <numeric>

#include "omni/checkpoint/run_folder.h"
#include "omni/checkpoint/writer.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::checkpoint {

// A small run of known tensors.

// Three tensors of 12, 5 and 1 elements, whose values say where they belong and at which step they were written.
class KnownTensors {
 public:
  explicit KnownTensors(std::int64_t step) {
    for (std::size_t t = 0; t < values_.size(); ++t)
      std::iota(values_[t].begin(), values_[t].end(),
                static_cast<float>(1000 * step + 100 * std::int64_t(t)));
  }
  static const std::vector<std::string>& names() {
    static const std::vector<std::string> all = {"a.value", "b.first_moment", "c.value"};
    return all;
  }
  static const std::vector<std::vector<std::int64_t>>& shapes() {
    static const std::vector<std::vector<std::int64_t>> all = {{3, 4}, {5}, {}};
    return all;
  }
  const std::vector<float>& values(std::size_t tensor) const { return values_[tensor]; }

  // What one of several ranks has, cut where no tensor begins.
  std::vector<Piece> pieces(int rank = 0, int ranks = 1) const {
    std::vector<Piece> pieces;
    for (std::size_t t = 0; t < values_.size(); ++t) {
      const std::int64_t size = static_cast<std::int64_t>(values_[t].size());
      const std::int64_t first = size * rank / ranks, end = size * (rank + 1) / ranks;
      if (first == end) continue;
      pieces.push_back(
          {names()[t], shapes()[t], first,
           std::as_bytes(std::span(values_[t]).subspan(std::size_t(first), std::size_t(end - first)))});
    }
    return pieces;
  }

 private:
  std::vector<std::vector<float>> values_ = {std::vector<float>(12), std::vector<float>(5),
                                             std::vector<float>(1)};
};

class RunFolder {
 public:
  RunFolder() {
    prepare_output_directory(common_folder(path()) / "image_tokenizer");
    write_file_atomically(common_folder(path()) / "bundle.yaml", "format_version: 1\n");
    write_file_atomically(common_folder(path()) / "image_tokenizer" / "config.yaml", "side: 8\n");
  }
  std::filesystem::path path() const { return folder_ / "checkpoints"; }
  std::filesystem::path at(std::int64_t step) const { return checkpoint_path(path(), step); }
  Manifest manifest(std::int64_t step) const {
    Manifest manifest;
    manifest.run.step = step;
    manifest.run.tokens = 64 * step;
    manifest.run.seconds = 0.1 * static_cast<double>(step);
    manifest.run.inputs = {{"shards", "0123456789abcdef"}};
    manifest.run.numbers = {{"steps", 3}, {"sum", 0.1}};
    manifest.config = "seed: 1\n";
    manifest.common = stored_files(common_folder(path()));
    return manifest;
  }
  void save(std::int64_t step, Retention retention = {.kept = 99, .every = 0}) const {
    const KnownTensors tensors(step);
    CheckpointWriter writer({path(), 0, 1, nullptr, retention});
    writer.start(manifest(step), tensors.pieces());
    writer.finish();
  }
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> steps;
    for (const CheckpointEntry& entry : checkpoints_in(path())) steps.push_back(entry.step);
    return steps;
  }
  const test::TemporaryDirectory& folder() const { return folder_; }

 private:
  test::TemporaryDirectory folder_;
};

// One bit of the byte in the middle.
inline void flip_a_bit(const std::filesystem::path& path) {
  std::vector<std::byte> bytes = read_file_bytes(path);
  bytes[bytes.size() / 2] ^= std::byte{4};
  write_file_atomically(path, bytes);
}

}  // namespace omni::checkpoint
