#include "omni/generation/text_to_shape.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "batch_finisher.h"
#include "best_draws.h"
#include "kept_programs.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/generation/decoding_threads.h"
#include "omni/kernels/thread_count.h"

namespace omni::generation {
namespace {

constexpr float kLongestBoxSide = 1.925f;  // of boxes in the GPT's training

// Divided side by side: the reciprocal of a tiny one is no float.
std::optional<geometry::Vec3> box_shares(const std::optional<geometry::Vec3>& box) {
  if (!box) return {};
  const float longest = std::max({box->x, box->y, box->z});
  return geometry::Vec3{box->x / longest, box->y / longest, box->z / longest};
}

// [1, 3]; zeros stand for no box.
at::Tensor box_tensor(const std::optional<geometry::Vec3>& box) {
  at::Tensor sides = at::zeros({1, 3});
  const std::optional<geometry::Vec3> shares = box_shares(box);
  if (!shares) return sides;
  for (std::size_t axis = 0; axis < 3; ++axis)
    sides[0][static_cast<std::int64_t>(axis)] = (*shares)[axis] * kLongestBoxSide;
  return sides;
}

// One way through the codes of a sample.
struct Draw {
  std::size_t request = 0;
  std::uint64_t sample_number = 0;
  double log_probability = 0;
  double drawing_seconds = 0;
  std::vector<std::int32_t> codes;
};

// Draws that are decoded side by side.
class DrawBatch {
 public:
  // Called with finished draws, in the order in which they were added.
  using OnDraws = std::function<void(std::span<Draw>)>;

  DrawBatch(const model::Transformer& transformer, std::int64_t sequences, ProgramOptions options,
            DrawKeeper* keeper, OnDraws on_draws)
      : transformer_(transformer),
        sequences_(sequences),
        options_(std::move(options)),
        keeper_(keeper),
        on_draws_(std::move(on_draws)) {}

  void add(std::unique_ptr<Cube3dProgram> program, std::size_t request, std::uint64_t number) {
    if (rows_ + program->row_count() > sequences_) decode();
    rows_ += program->row_count();
    programs_.push_back(std::move(program));
    draws_.push_back({.request = request, .sample_number = number});
  }

  void decode() {
    if (programs_.empty()) return;
    std::vector<DrawPlace> places;
    for (const Draw& draw : draws_) places.push_back({draw.request, draw.sample_number});
    const ProgramScores scores = run_kept_programs(transformer_, programs_, places, options_, keeper_);
    std::vector<Draw> whole;
    for (std::size_t i = 0; i < draws_.size(); ++i) {
      if (!programs_[i]->finished()) continue;
      draws_[i].log_probability = scores.log_probabilities[i];
      draws_[i].drawing_seconds = scores.seconds[i];
      draws_[i].codes = static_cast<const Cube3dProgram&>(*programs_[i]).codes();
      whole.push_back(std::move(draws_[i]));
    }
    programs_.clear();
    draws_.clear();
    rows_ = 0;
    if (!whole.empty()) on_draws_(whole);
    if (scores.interrupted) throw_if_interrupted();
  }

 private:
  const model::Transformer& transformer_;
  std::int64_t sequences_;
  ProgramOptions options_;
  DrawKeeper* keeper_;
  OnDraws on_draws_;
  std::vector<std::unique_ptr<TokenProgram>> programs_;  // Cube3dPrograms
  std::vector<Draw> draws_;
  std::int64_t rows_ = 0;
};

GeneratedSample sample_of(Draw draw, const TextToShapeRequest& request) {
  GeneratedSample sample;
  sample.request = draw.request;
  sample.sample_number = draw.sample_number;
  sample.log_probability = draw.log_probability;
  sample.drawing_seconds = draw.drawing_seconds;
  sequence::ShapePayload payload;
  payload.geometry = draw.codes;
  sample.document.segments.push_back({.payload = std::move(payload)});
  GeneratedShape& shape = sample.shapes.emplace_back();
  shape.codes.geometry = std::move(draw.codes);
  shape.box_shares = box_shares(request.box);
  return sample;
}

void add_mesh(GeneratedShape& shape, const tokenizers::ShapeTokenizer& tokenizer,
              const std::optional<MeshOptions>& mesh) {
  const c10::InferenceMode no_gradients;
  shape.field = std::move(tokenizer.decode({&shape.codes, 1}).front());
  if (!mesh) return;
  shape.mesh = extract_mesh(*shape.field, *mesh, shape.box_shares);
  stand_on_ground(*shape.mesh);
}

void check_requests(std::span<const TextToShapeRequest> requests, const model::Cube3dModel& model) {
  if (model.shape == nullptr)
    fail(ErrorKind::usage,
         "making shapes: this Cube3D has no shape tokenizer. Import it with shape_tokenizer.safetensors");
  for (const TextToShapeRequest& request : requests) {
    check_request(request, model.gpt->config());
    if (request.sampling.codes != model.shape->geometry_code_count())
      fail(ErrorKind::usage, "making shapes: ", request.sampling.codes, " codes are asked for; a shape has ",
           model.shape->geometry_code_count());
  }
}

// Of all draws together.
struct Amount {
  std::int64_t sequences = 0, tokens = 0;
};

Amount amount_of(std::span<const TextToShapeRequest> requests) {
  Amount amount;
  for (const TextToShapeRequest& request : requests) {
    const std::int64_t draws = request.count * request.best_of;
    amount.sequences += draws * rows_per_draw(request.sampling);
    amount.tokens +=
        draws * (request.sampling.codes - static_cast<std::int64_t>(request.sampling.first_codes.size()));
  }
  return amount;
}

}  // namespace

TextFeatures text_features(const model::TextTower& text, const std::vector<std::string>& prompts) {
  const c10::InferenceMode no_gradients;
  if (text.tokenizer() == nullptr)
    fail(ErrorKind::input,
         "reading prompts: the text tower has no tokenizer.json. Import it with --tokenizer");
  const auto features = [&](const std::vector<std::int32_t>& tokens) {
    return text.features(text.ids({tokens})).cpu();
  };
  // One by one: the last bits of a product depend on how many rows it has, and a sample is to depend on its prompt alone.
  std::vector<at::Tensor> rows;
  for (const std::string& prompt : prompts) {
    const std::vector<std::int32_t> tokens = text.tokenizer()->encode(prompt);
    if (static_cast<std::int64_t>(tokens.size()) > text.longest_text())
      log_warning("the prompt \"", prompt.substr(0, 40), "...\" has ", tokens.size(),
                  " tokens, of which the text tower reads ", text.longest_text(), ": the rest is cut off");
    rows.push_back(features(tokens));
  }
  return {at::concat(rows, 0), features(text.tokenizer()->encode(""))};
}

void check_request(const TextToShapeRequest& request, const model::Cube3dGptConfig& config) {
  if (request.box) {
    if (!config.box)
      fail(ErrorKind::usage, "shaping a box: this version of Cube3D, v0.1, knows none. Leave --bbox out");
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (!((*request.box)[axis] > 0) || !std::isfinite((*request.box)[axis]))
        fail(ErrorKind::usage, "shaping a box: its side along ", "xyz"[axis], " is ", (*request.box)[axis],
             ". All sides of --bbox must be above 0");
  }
  if (request.count < 1 || request.best_of < 1)
    fail(ErrorKind::usage, "making shapes: ", request.count, " samples, each the best of ", request.best_of,
         ". Ask for one at least");
  if (request.best_of > 1 && request.sampling.sampling.temperature == 0)
    fail(ErrorKind::usage, "making shapes: the best of ", request.best_of,
         " draws is asked for at temperature 0, where all are one. Choose a higher temperature");
  validate(request.sampling, config.shape_codes);
}

void make_samples(const model::Cube3dModel& model, const TextFeatures& texts,
                  std::span<const TextToShapeRequest> requests, const SampleOptions& options,
                  const OnSample& on_sample) {
  check_requests(requests, model);
  ensure(texts.prompts.size(0) == static_cast<std::int64_t>(requests.size()), "one prompt for each request");
  std::optional<MeshOptions> mesh = options.mesh;
  if (mesh) validate(*mesh);
  if (mesh && mesh->resolution == 0) mesh->resolution = kCube3dMeshResolution;
  const Amount amount = amount_of(requests);
  const kernels::ThreadCount threads(
      decoding_threads(model.gpt->transformer().parameters().element_count(),
                       std::min(amount.sequences, options.sequences_per_batch)));
  BestDraws<Draw> best([&](std::size_t request) { return requests[request].best_of; });
  BatchFinisher finisher(
      {.beside = gpu_of(model.gpt->transformer()), .after_interrupt = options.after_interrupt},
      [&](GeneratedSample& sample) { add_mesh(sample.shapes.front(), *model.shape, mesh); }, on_sample);
  const auto finish = [&](std::span<Draw> draws) {
    std::vector<GeneratedSample> samples;
    for (Draw& draw : best.add(draws)) samples.push_back(sample_of(std::move(draw), requests[draw.request]));
    finisher.add(std::move(samples));
  };
  std::int64_t sampled = 0;
  const auto count_tokens = [&](std::int64_t tokens) {
    sampled += tokens;
    if (options.on_progress) options.on_progress(sampled, amount.tokens);
  };
  DrawBatch batch(model.gpt->transformer(), options.sequences_per_batch,
                  {.precision = options.precision, .on_tokens = count_tokens}, options.keeper, finish);
  const at::Tensor unconditional = model.gpt->condition(texts.no_text, box_tensor({}))[0];
  finisher.run([&] {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const at::Tensor features = texts.prompts.narrow(0, static_cast<std::int64_t>(i), 1);
      const at::Tensor condition = model.gpt->condition(features, box_tensor(requests[i].box))[0];
      const auto draws = static_cast<std::uint64_t>(requests[i].count * requests[i].best_of);
      const std::uint64_t first = requests[i].first_sample * static_cast<std::uint64_t>(requests[i].best_of);
      for (std::uint64_t k = first; k < first + draws; ++k)
        batch.add(std::make_unique<Cube3dProgram>(model.gpt->config(), condition, unconditional,
                                                  requests[i].sampling, k),
                  i, k);
    }
    batch.decode();
  });
}

}  // namespace omni::generation
