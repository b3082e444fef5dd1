#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "omni/model/public_model.h"

namespace omni::model {

// The versions of Cube3D that were published.
enum class Cube3dVersion { v0_1, v0_5 };
// Of "cube3d-v0.1" and "cube3d-v0.5"; nothing for any other name.
std::optional<Cube3dVersion> parse_cube3d_version(std::string_view name);

inline constexpr const char* kPublishedGptName = "shape_gpt.safetensors";
// The GPT's weights and the shape tokenizer by their published names in a folder. Of the GPT, the file or else the index of
// its shards; without either, and of a path that is no folder, the path itself. Of the tokenizer, empty without it.
std::filesystem::path published_gpt(const std::filesystem::path& path);
std::filesystem::path published_shape_tokenizer(const std::filesystem::path& path);

// The parts of a Cube3D in a folder as its publisher has them: shape_gpt.safetensors, or the index of its shards
// (shape_gpt.safetensors.index.json), shape_tokenizer.safetensors, and a CLIP ViT-L/14 (weights, config.json,
// tokenizer.json) there, in one of its folders, or in `text`. `config`: the reference's JSON configuration; empty: the
// published sizes. Nothing but names of tensors is read. Throws Error(io) naming what is missing and where it was looked
// for, and Error(input) for files of the other version.
Cube3dFiles find_cube3d(const std::filesystem::path& folder, Cube3dVersion version,
                        const std::filesystem::path& text = {}, const std::filesystem::path& config = {});

}  // namespace omni::model
