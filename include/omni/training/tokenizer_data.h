#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/data/object_source.h"
#include "omni/image/image.h"

namespace omni::training {

// Where the image and text tokenizers' examples come from: the embedded procedural world, or files of the
// user's.
struct TokenizerDataConfig {
  std::string folder;  // images: a folder of pictures; text: a file with one text per line; "": the world
  std::int64_t world_seed = 1;  // also decides which objects are held out
  std::int64_t objects = 6000;  // of the world's train split
  std::int64_t views_per_object = 3;
};
void describe(ConfigVisitor& visitor, TokenizerDataConfig& config);

// Renders of `objects` objects of a split on white, each from `views_per_object` different views drawn from
// all view bins, size x size pixels; on all cores. The same for the same arguments.
std::vector<image::Image> render_world(const TokenizerDataConfig& config, data::Split split,
                                       std::int64_t objects, std::int64_t views_per_object, int size);

// The pictures of a folder and those below it, in the order of their paths, as size x size squares. Files
// that are no pictures are listed in a warning and skipped. Throws Error(io) for a missing folder,
// Error(input) where none is left.
std::vector<image::Image> read_pictures(const std::string& folder, int size);

// What a tokenizer trains on: render_world() or read_pictures(); every caption of the world's objects, or the
// lines.
std::vector<image::Image> training_images(const TokenizerDataConfig& config, int size);
std::vector<std::string> training_texts(const TokenizerDataConfig& config);

}  // namespace omni::training
