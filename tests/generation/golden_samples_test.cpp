// What a request and a seed give, token for token in fp32, as it was when the file of tokens was written: a
// change of the way from a request to its tokens must not show here. Rounding differs between processors, but
// the nearest choice is further from its limit than that: noise of 1e-5 on every logit leaves all tokens as
// they are.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "generation_fixtures.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/generation/make_samples.h"

namespace omni::generation {
namespace {

using sequence::Modality;

image::Image gradient(int width, int height, int slope) {
  image::Image picture(width, height, 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = picture.at(x, y);
      pixel[0] = static_cast<std::uint8_t>(slope * x % 256);
      pixel[1] = static_cast<std::uint8_t>(slope * y % 256);
      pixel[2] = static_cast<std::uint8_t>((x + y) * 7 % 256);
    }
  }
  return picture;
}

ShapeCondition shape_of_codes(const tokenizers::ShapeTokenizer& tokenizer) {
  tokenizers::ShapeCodes codes;
  for (std::int64_t i = 0; i < tokenizer.geometry_code_count(); ++i) {
    codes.geometry.push_back(static_cast<std::int32_t>(i * 5 % tokenizer.geometry_vocabulary()));
  }
  for (std::int64_t i = 0; i < tokenizer.colour_code_count(); ++i) {
    codes.colour.push_back(static_cast<std::int32_t>(i * 3 % tokenizer.colour_vocabulary()));
  }
  return {.shape = std::move(codes), .longest_side_m = 1.5f, .extent = {}};
}

ShapeCondition shape_of_mesh() {
  geometry::Mesh wedge;
  wedge.positions = {{0, 0, 0}, {4, 0, 0}, {0, 2, 0}, {0, 0, 1}};
  wedge.triangles = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};
  return shape_condition(std::move(wedge));
}

void add_conditions(GenerationRequest& request, const model::Bundle& bundle, std::size_t number) {
  int slope = 3 + static_cast<int>(number);
  for (const sequence::TaskSegment& segment : request.task.segments) {
    if (segment.loss) continue;
    switch (segment.modality) {
      case Modality::text:
        request.prompts.emplace_back(number % 3 == 0 ? "a red chair" : "two legs");
        break;
      case Modality::image:
        request.images.push_back({.image = gradient(20, 14, slope++), .view = {}});
        if (segment.view) request.images.back().view = View{15.0f * static_cast<float>(slope), 20};
        break;
      case Modality::shape:
        request.shapes.push_back(number % 2 == 0 ? shape_of_codes(*bundle.tokenizers.shape())
                                                 : shape_of_mesh());
        break;
    }
  }
}

GenerationRequest request_for(const std::string& task, const model::Bundle& bundle, std::size_t number) {
  const kernels::SamplingSettings settings[] = {
      {},
      {.top_k = 6},
      {.top_p = 0.8},
      {.min_p = 0.05},
      {.temperature = 0.7, .top_k = 12, .top_p = 0.9, .min_p = 0.01},
      {.temperature = 0},
      {.temperature = 1.6, .top_p = 0.95},
  };
  GenerationRequest request;
  request.task = sequence::built_in_task(task);
  add_conditions(request, bundle, number);
  request.sampling = settings[number % std::size(settings)];
  request.seed = 1000 + number;
  request.count = 3;
  request.first_sample = number % 4;
  if (number % 2 == 1) {
    request.guidance.everywhere = 1.5;
    if (!request.prompts.empty()) request.guidance.by_modality = {{Modality::text, 3.0}};
  }
  if (number % 5 == 2) request.with_colour = false;
  const auto& last = request.task.segments.back();
  if (last.modality == Modality::image && last.view && number % 2 == 0) request.view = View{-60, 35};
  if (number % 4 == 3) request.geometry_codes = bundle.layout().geometry_lengths.front();
  return request;
}

// Every task twice, so that each meets other settings.
std::vector<GenerationRequest> golden_requests(const model::Bundle& bundle) {
  std::vector<GenerationRequest> requests;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& task : sequence::built_in_task_names()) {
      requests.push_back(request_for(task, bundle, requests.size() + static_cast<std::size_t>(round)));
    }
  }
  requests.push_back(request_for("text+image->shape", bundle, 1));
  requests.back().prompts.clear();
  requests.back().allow_missing = true;
  requests.back().guidance = {};
  return requests;
}

nlohmann::json tokens_of(const model::Bundle& bundle, const std::vector<GenerationRequest>& requests) {
  nlohmann::json all = nlohmann::json::array();
  for (const GenerationRequest& request : requests) {
    all.push_back({{"task", request.task.name}, {"samples", nlohmann::json::array()}});
  }
  SampleOptions options;
  options.decode_images = false;
  make_samples(bundle, requests, options, [&](const GeneratedSample& sample) {
    all.at(sample.request)["samples"].push_back(
        sequence::document_tokens(sample.document, bundle.vocabulary(), bundle.layout()));
  });
  return all;
}

TEST(GoldenSamples, AreTheSameTokenForToken) {
  const std::filesystem::path path = std::filesystem::path(OMNI_TEST_FIXTURES) / "golden/samples.json";
  const model::Bundle bundle = testing::tiny_bundle();
  const std::vector<GenerationRequest> requests = golden_requests(bundle);
  const nlohmann::json tokens = tokens_of(bundle, requests);
  if (const char* out = std::getenv("OMNI_WRITE_GOLDEN_SAMPLES")) {
    std::string text;
    for (const nlohmann::json& entry : tokens) text += (text.empty() ? "[" : ",\n") + json_text(entry);
    write_file_atomically(out, text + "]\n");
  }
  const nlohmann::json golden = parse_json(read_file_text(path));
  ASSERT_EQ(tokens.size(), golden.size());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_EQ(tokens[i]["task"], golden[i]["task"]);
    ASSERT_EQ(tokens[i]["samples"].size(), golden[i]["samples"].size());
    for (std::size_t k = 0; k < golden[i]["samples"].size(); ++k) {
      EXPECT_EQ(tokens[i]["samples"][k], golden[i]["samples"][k])
          << "request " << i << " (" << golden[i]["task"] << "), sample " << k;
    }
  }
}

}  // namespace
}  // namespace omni::generation
