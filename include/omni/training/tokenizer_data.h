#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/data/open_source.h"
#include "omni/image/image.h"

namespace omni::training {

// What the image and text tokenizers learn from and are measured on: objects, or the user's own files.
struct TokenizerDataConfig {
  data::SourceSpec source = {.count = 6000};  // "objects" in YAML is its count; the train split
  std::int64_t views_per_object = 3;          // pictures of each
  std::string folder;  // of pictures, or a file with one text per line, in place of objects; "": objects
};
void describe(ConfigVisitor& visitor, TokenizerDataConfig& config);

// Pictures of the objects on white, each from `views_per_object` different views drawn from all view bins,
// size x size pixels, the same for the same arguments; or the pictures of config.folder, by read_pictures().
// On all cores. Throws as open_source() does, Error(usage) where both a source and a folder are given. `tells`:
// whether progress and files that are skipped are told.
std::vector<image::Image> training_images(const TokenizerDataConfig& config, int size, bool tells = true);
// Every caption of the objects, or the lines of config.folder. Throws as training_images().
std::vector<std::string> training_texts(const TokenizerDataConfig& config);

// The pictures of a folder and those below it, in the order of their paths, as size x size squares. Files
// that are not pictures are listed in a warning and skipped. Throws Error(io) for a missing folder,
// Error(input) where none is left.
std::vector<image::Image> read_pictures(const std::string& folder, int size, bool tells = true);

}  // namespace omni::training
