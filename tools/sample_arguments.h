#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "omni/generation/make_samples.h"

namespace omni::tools {

// The options of `omni sample`, and the request that they make.

struct SampleArguments {
  std::string model, task;
  std::string weights, text_tower, config;  // of a public model that is named by its version
  std::vector<std::string> prompts, images, meshes, image_views;
  std::string prompts_file, instruction, view, box, first_codes, guidance, guidance_schedule;
  std::string out, format, preview, turntable, codes;
  std::int64_t count = 1, best_of = 1, detail = 0, batch = 96;
  std::uint64_t seed = 0;
  kernels::SamplingSettings sampling;
  generation::MeshOptions mesh;
  std::string device = "cpu", precision = "auto";
  bool no_colour = false;
  bool as_it_is = false;  // pictures
  bool any = false;       // without a prompt, or with one that the model cannot know
};
void add_sample_options(CLI::App& command, SampleArguments& arguments);
// Temperature, model and guidance's schedule where the command line, which has been read, does not name them.
void choose_what_is_not_given(const CLI::App& command, SampleArguments& arguments);

// What an ending holds: .txt text; .png, .jpg, .webp image; .glb, .obj, .ply, .stl shape. Throws Error(usage)
// for others.
sequence::Modality modality_of_output(const std::filesystem::path& path);

// The codes that shapes are to start with. Throws Error(usage) for another ending, Error(io), Error(input).
std::vector<std::int32_t> read_first_codes(const SampleArguments& arguments);
// Throws Error(usage) for a prompt that is no UTF-8, or of more bytes than data::kLongestPrompt, as one in a file is refused.
void check_prompt(const std::string& prompt);

// What the arguments ask for. Throws Error(usage).
sequence::Task task_of(const SampleArguments& arguments);

// Takes empty prompts out where --any allows them. Throws Error(usage) for others, and as check_prompt_words().
void check_prompts(std::vector<std::string>& prompts, const std::optional<tokenizers::WordList>& words,
                   const SampleArguments& arguments);

// What is asked for beside the prompts. Throws as read_request().
generation::GenerationRequest request_without_prompts(const SampleArguments& arguments, sequence::Task task);

// The request, with its files read; weights are not touched. Throws Error(usage) for what makes no request,
// and what readers of the files throw.
generation::GenerationRequest read_request(const SampleArguments& arguments);

}  // namespace omni::tools
