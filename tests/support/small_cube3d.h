#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/files.h"
#include "omni/core/safetensors.h"

namespace omni::test {

// A Cube3D of small random weights whose parts fit together: the GPT of the fixtures reads narrower texts than the fixtures'
// CLIP gives, so its projection of texts is another one here.
struct SmallCube3d {
  // Writes the GPT and its configuration into an existing folder.
  explicit SmallCube3d(const std::filesystem::path& folder)
      : gpt(folder / "shape_gpt.safetensors"), gpt_config(folder / "gpt.json") {
    constexpr std::size_t kWidth = 32;
    const SafetensorsFile original(fixtures() / "tiny/cube3d/gpt/shape_gpt.safetensors");
    std::vector<float> projection(kWidth * kWidth);
    for (std::size_t i = 0; i < projection.size(); ++i)
      projection[i] = 0.01f * static_cast<float>(i % 17) - 0.08f;
    std::vector<NamedTensorView> tensors;
    for (const auto& [name, view] : original.tensors())
      tensors.push_back(
          {name, name == "text_proj.weight" ? tensor_view(projection, {kWidth, kWidth}) : view});
    write_safetensors(gpt, tensors);
    std::string config = read_file_text(fixtures() / "tiny/cube3d/gpt/config.json");
    const std::string from = "\"text_model_embed_dim\": 16";
    write_file_atomically(gpt_config, std::string_view(config.replace(config.find(from), from.size(),
                                                                      "\"text_model_embed_dim\": 32")));
  }

  static std::filesystem::path fixtures() { return OMNI_TEST_FIXTURES; }

  std::filesystem::path gpt, gpt_config;
  // As they are in the fixtures.
  std::filesystem::path clip = fixtures() / "public/clip/model.safetensors";
  std::filesystem::path shape_tokenizer = fixtures() / "tiny/cube3d/tokenizer/shape_tokenizer.safetensors";
};

}  // namespace omni::test
