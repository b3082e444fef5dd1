#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "omni/checkpoint/manifest.h"

namespace omni::checkpoint {

// The folder in which the checkpoints of one run lie: step-NNNNNNNN/ for each, with a manifest and the shards of
// the ranks, and common/ for what they have in common (a bundle without its weights).

std::filesystem::path checkpoint_path(const std::filesystem::path& run_folder, std::int64_t step);
// What such a path says; nothing for another.
std::optional<std::int64_t> step_of(const std::filesystem::path& path);
std::filesystem::path common_folder(const std::filesystem::path& run_folder);
// The same by one of its checkpoints; in the format before, the checkpoint's own bundle.
std::filesystem::path common_folder_of(const std::filesystem::path& checkpoint);
// Of all files below it, as manifests list them. Throws Error(io).
std::vector<StoredFile> stored_files(const std::filesystem::path& folder);

struct CheckpointEntry {
  std::filesystem::path path;
  std::int64_t step = 0;
};
// Those that have a manifest (or are of the format before), by rising step. They may be damaged.
std::vector<CheckpointEntry> checkpoints_in(const std::filesystem::path& run_folder);

// The newest checkpoint that is not damaged, every checksum compared; nothing where there is none at all. Newer
// ones that cannot be used are named in one warning. Throws Error(input) that names all where each is damaged.
std::optional<std::filesystem::path> newest_sound(const std::filesystem::path& run_folder);

// Removes what a killed process left half-written or half-removed, and puts aside, as <name>.damaged, what lies
// beyond `done_steps`, from which the run goes on: a damaged checkpoint must not be counted among the newest.
// To be called by the only process that writes there.
void tidy(const std::filesystem::path& run_folder, std::int64_t done_steps);

// Which checkpoints stay: the newest, those of every so many steps (0: no others), and that of one step.
struct Retention {
  std::int64_t kept = 1;  // at least 1
  std::int64_t every = 0;
  std::optional<std::int64_t> step = std::nullopt;
};
void retire(const std::filesystem::path& run_folder, const Retention& retention);

// Throws Error(io) where the disk cannot take `count` checkpoints of that size, those that are there included.
// The folder need not exist.
void require_space(const std::filesystem::path& run_folder, std::uint64_t checkpoint_bytes,
                   std::int64_t count);

}  // namespace omni::checkpoint
