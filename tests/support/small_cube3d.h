#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/files.h"
#include "omni/core/safetensors.h"

namespace omni::test {

// A whole Cube3D of the small reference cases in `fixtures` (tests/fixtures), whose parts are made to fit each other.

// Replaced once; nothing where it is not there.
inline std::string with_text(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  return place == std::string::npos ? text : text.replace(place, from.size(), to);
}

// FOLDER/shape_gpt.safetensors and FOLDER/gpt.json: the small GPT, with a projection of texts as wide as the small CLIP.
inline void write_small_cube3d_gpt(const std::filesystem::path& fixtures, const std::filesystem::path& folder,
                                   bool box = true) {
  const std::filesystem::path source = fixtures / "tiny/cube3d/gpt";
  const SafetensorsFile gpt(source / "shape_gpt.safetensors");
  std::vector<float> projection(static_cast<std::size_t>(32 * 32));
  for (std::size_t i = 0; i < projection.size(); ++i)
    projection[i] = 0.01f * static_cast<float>(i % 17) - 0.08f;
  std::vector<NamedTensorView> tensors;
  for (const auto& [name, view] : gpt.tensors())
    if (box || !name.starts_with("bbox_proj."))
      tensors.push_back({name, name == "text_proj.weight" ? tensor_view(projection, {32, 32}) : view});
  write_safetensors(folder / "shape_gpt.safetensors", tensors);
  const std::string config = with_text(read_file_text(source / "config.json"), "\"text_model_embed_dim\": 16",
                                       "\"text_model_embed_dim\": 32");
  write_file_atomically(
      folder / "gpt.json",
      std::string_view(box ? config : with_text(config, "\"use_bbox\": true", "\"use_bbox\": false")));
}

// That GPT in an existing folder, and the other parts of a Cube3D where they lie in `fixtures`.
struct SmallCube3d {
  SmallCube3d(const std::filesystem::path& fixtures, const std::filesystem::path& folder)
      : gpt(folder / "shape_gpt.safetensors"),
        gpt_config(folder / "gpt.json"),
        clip(fixtures / "public/clip/model.safetensors"),
        shape_tokenizer(fixtures / "tiny/cube3d/tokenizer/shape_tokenizer.safetensors") {
    write_small_cube3d_gpt(fixtures, folder);
  }
  std::filesystem::path gpt, gpt_config, clip, shape_tokenizer;
};

// The same with FOLDER/shape_tokenizer.safetensors, whose fields have a surface, and the text tower in FOLDER/clip, as
// somebody would have fetched them.
inline void write_small_cube3d(const std::filesystem::path& fixtures, const std::filesystem::path& folder,
                               bool box = true) {
  std::filesystem::create_directories(folder / "clip");
  write_small_cube3d_gpt(fixtures, folder, box);
  const SafetensorsFile tokenizer(fixtures / "tiny/cube3d/tokenizer/shape_tokenizer.safetensors");
  // Inside is where |x| + |y| + |z| is below 0.7, more or less, as the codes say: channel 0 grows with the sum, channel 1
  // is constant, the head compares them.
  constexpr std::size_t kWidth = 32, kEmbedded = 51;
  std::map<std::string, std::vector<float>> changed;
  std::vector<float>& in = changed["occupancy_decoder.query_in.in_layer.weight"];
  in.assign(kWidth * kEmbedded, 0.0f);
  for (std::size_t row = 0; row < 6; ++row) in[row * kEmbedded + row / 2] = row % 2 == 0 ? 20.0f : -20.0f;
  changed["occupancy_decoder.query_in.in_layer.bias"].assign(kWidth, 0.0f);
  std::vector<float>& out = changed["occupancy_decoder.query_in.out_layer.weight"];
  out.assign(kWidth * kWidth, 0.0f);
  std::fill_n(out.begin(), 6, 0.5f);
  std::vector<float>& bias = changed["occupancy_decoder.query_in.out_layer.bias"];
  bias.assign(kWidth, 0.0f);
  bias[1] = 7;
  changed["occupancy_decoder.ln_f.weight"].assign(kWidth, 1.0f);
  changed["occupancy_decoder.ln_f.bias"].assign(kWidth, 0.0f);
  std::vector<float>& head = changed["occupancy_decoder.c_head.weight"];
  head.assign(kWidth, 0.0f);
  head[0] = -1;
  head[1] = 1;
  changed["occupancy_decoder.c_head.bias"] = {0.0f};
  std::vector<NamedTensorView> tensors;
  for (const auto& [name, view] : tokenizer.tensors()) {
    const auto other = changed.find(name);
    tensors.push_back({name, other == changed.end() ? view : tensor_view(other->second, view.shape)});
  }
  write_safetensors(folder / "shape_tokenizer.safetensors", tensors);
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"})
    std::filesystem::copy_file(fixtures / "public/clip" / name, folder / "clip" / name);
}

}  // namespace omni::test
