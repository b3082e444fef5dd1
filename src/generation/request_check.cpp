#include <algorithm>

#include "omni/core/error.h"
#include "omni/generation/request.h"
#include "omni/model/bundle.h"

namespace omni::generation {
namespace {

using sequence::Modality;

struct Given {
  Modality modality;
  std::size_t count;
  const char* option;
};

void check_conditions(const GenerationRequest& request) {
  const Given all[] = {{Modality::text, request.prompts.size(), "a prompt (--prompt)"},
                       {Modality::image, request.images.size(), "an image (--image)"},
                       {Modality::shape, request.shapes.size(), "a mesh (--mesh)"}};
  for (const Given& given : all) {
    std::size_t needed = 0;
    for (const sequence::TaskSegment& segment : request.task.segments) {
      needed += !segment.loss && segment.modality == given.modality ? 1 : 0;
    }
    if (given.count < needed && !request.allow_missing) {
      fail(ErrorKind::usage, "preparing the task ", request.task.name, ": it needs ", needed, " times ",
           given.option, " and got ", given.count, ". Give what is missing or choose another task.");
    }
    if (given.count > needed) {
      fail(ErrorKind::usage, "preparing the task ", request.task.name, ": it takes ", needed, " times ",
           given.option, " and got ", given.count, ". Leave out what it has no place for.");
    }
  }
}

void check_modalities(const GenerationRequest& request, const model::Bundle& bundle) {
  const auto missing = [&](Modality modality) {
    switch (modality) {
      case Modality::text:
        return bundle.tokenizers.text() == nullptr;
      case Modality::image:
        return bundle.tokenizers.image() == nullptr;
      case Modality::shape:
        return bundle.tokenizers.shape() == nullptr;
    }
    return true;
  };
  for (const sequence::TaskSegment& segment : request.task.segments) {
    if (!missing(segment.modality)) continue;
    fail(ErrorKind::usage, "preparing the task ", request.task.name, ": the model has no ",
         sequence::modality_name(segment.modality), " tokenizer. Choose another task or model.");
  }
}

void check_views(const GenerationRequest& request, const model::Bundle& bundle) {
  bool makes_view = false;
  for (const sequence::TaskSegment& segment : request.task.segments) {
    makes_view = makes_view || (segment.loss && segment.view);
  }
  if (request.view && !makes_view) {
    fail(ErrorKind::usage, "preparing the task ", request.task.name,
         ": a view is given, but it makes no image with a view. Choose a task that ends in image@view.");
  }
  const bool any_view = request.view.has_value() ||
                        std::any_of(request.images.begin(), request.images.end(),
                                    [](const ImageCondition& image) { return image.view.has_value(); });
  if (any_view && !bundle.vocabulary().has(sequence::kRangeAzimuth)) {
    fail(ErrorKind::usage, "preparing the task ", request.task.name,
         ": a view is given, but the model knows no views. Use one that went through view continuation.");
  }
}

void check_lengths(const GenerationRequest& request, const model::Bundle& bundle) {
  if (request.count < 1 || request.count > 1'000'000) {
    fail(ErrorKind::usage, "preparing the task ", request.task.name, ": ", request.count,
         " samples are asked for. Ask for 1 to 1,000,000.");
  }
  if (request.best_of < 1 || request.best_of > 1000) {
    fail(ErrorKind::usage, "preparing the task ", request.task.name, ": the best of ", request.best_of,
         " draws is asked for. Ask for the best of 1 to 1,000.");
  }
  if (request.best_of > 1 && request.sampling.temperature == 0) {
    fail(ErrorKind::usage, "preparing the task ", request.task.name, ": the best of ", request.best_of,
         " draws is asked for at temperature 0, where all are one. Choose a higher temperature.");
  }
  const std::vector<std::int64_t>& lengths = bundle.layout().geometry_lengths;
  if (request.geometry_codes == 0 ||
      std::find(lengths.begin(), lengths.end(), request.geometry_codes) != lengths.end()) {
    return;
  }
  std::string offered;
  for (const std::int64_t length : lengths) offered += concat(offered.empty() ? "" : ", ", length);
  fail(ErrorKind::usage, "preparing the task ", request.task.name, ": ", request.geometry_codes,
       " geometry codes are not offered. Choose one of: ", offered, ".");
}

void check_first_codes(const GenerationRequest& request, const model::Bundle& bundle) {
  if (request.first_codes.empty()) return;
  if (!sequence::makes(request.task, Modality::shape))
    fail(ErrorKind::usage, "preparing the task ", request.task.name,
         ": codes are given that a shape starts with (--first-codes), but it makes none. Leave them out.");
  const std::int64_t length =
      request.geometry_codes > 0 ? request.geometry_codes : bundle.layout().geometry_lengths.back();
  if (static_cast<std::int64_t>(request.first_codes.size()) > length)
    fail(ErrorKind::usage, "preparing the task ", request.task.name, ": ", request.first_codes.size(),
         " codes are given that a shape of ", length,
         " starts with (--first-codes). Give no more than it has.");
  const std::int32_t known = bundle.vocabulary().range(sequence::kRangeGeometry).size;
  for (const std::int32_t code : request.first_codes)
    if (code < 0 || code >= known)
      fail(ErrorKind::usage, "preparing the task ", request.task.name, ": the first codes name ", code,
           ", which is not one of the model's ", known, ". Give codes of its shape tokenizer.");
}

}  // namespace

void check_request(const GenerationRequest& request, const model::Bundle& bundle) {
  sequence::check_task(request.task);
  kernels::validate(request.sampling);
  check_conditions(request);
  check_modalities(request, bundle);
  check_views(request, bundle);
  check_lengths(request, bundle);
  check_first_codes(request, bundle);
  model::check_task(bundle.transformer->config(), request.task);
  validate(request.guidance);
  (void)request.guidance.weights_for(request.task);
}

}  // namespace omni::generation
