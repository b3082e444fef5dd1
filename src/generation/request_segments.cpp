#include "request_segments.h"

#include <algorithm>
#include <map>

#include "omni/core/error.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/tokenizers/shape_sample.h"

namespace omni::generation {
namespace {

using sequence::Modality;
using sequence::Segment;

sequence::ShapePayload shape_payload(const ShapeCondition& shape, const tokenizers::ShapeCodes& codes) {
  sequence::ShapePayload payload;
  payload.geometry = codes.geometry;
  payload.colour = codes.colour;
  if (shape.longest_side_m) payload.size = sequence::size_bin(*shape.longest_side_m);
  if (shape.extent) {
    const float longest = std::max({shape.extent->x, shape.extent->y, shape.extent->z});
    for (std::size_t axis = 0; axis < 3; ++axis) {
      payload.box[axis] = sequence::box_bin((*shape.extent)[axis] / longest);
    }
  }
  return payload;
}

std::vector<std::int32_t> prompt_tokens(const std::string& prompt, const model::Bundle& bundle) {
  std::vector<std::int32_t> tokens = tokenizers::encode_caption(*bundle.tokenizers.text(), prompt);
  if (static_cast<std::int64_t>(tokens.size()) > bundle.layout().text_capacity) {
    fail(ErrorKind::usage, "reading the prompt \"", prompt.substr(0, 40), "...\": it has ", tokens.size(),
         " tokens and the model reads at most ", bundle.layout().text_capacity, ". Shorten it.");
  }
  return tokens;
}

// One text at a time: the last bits of a product depend on how many rows it has, and a sample is to depend on its prompt alone.
at::Tensor condition_features(const std::vector<std::int32_t>& tokens, const model::Bundle& bundle) {
  const model::TextTower& tower = *bundle.text_tower->tower();
  const at::Tensor rows = model::rows_of_text(tower, tower.features(tower.ids({tokens}))[0],
                                              static_cast<std::int64_t>(tokens.size()));
  const model::Transformer& transformer = *bundle.transformer;
  return transformer.embed_features(model::text_input(transformer.config()), rows);
}

// The conditions of all requests, encoded in one go per modality, and taken in order.
class EncodedConditions {
 public:
  EncodedConditions(std::span<const GenerationRequest> requests, const model::Bundle& bundle) {
    encode_texts(requests, bundle);
    encode_images(requests, bundle);
    encode_shapes(requests, bundle);
  }

  SegmentRequest take_text() {
    const std::size_t text = next_text_++;
    return {.modality = Modality::text,
            .given = Segment{.payload = sequence::TextPayload{std::move(texts_[text])}},
            .features = text_features_.empty() ? at::Tensor() : text_features_[text],
            .fixed_tokens = {}};
  }

  Segment take_image(const ImageCondition& image) {
    const auto* codes = std::get_if<std::vector<std::int32_t>>(&image.image);
    sequence::ImagePayload payload{
        .azimuth = {},
        .elevation = {},
        .codes = codes != nullptr ? *codes : std::move(image_codes_[next_image_++])};
    if (image.view) {
      payload.azimuth = azimuth_bin(*image.view);
      payload.elevation = elevation_bin(*image.view);
    }
    return {.payload = std::move(payload)};
  }

  Segment take_shape(const ShapeCondition& shape) {
    const auto* codes = std::get_if<tokenizers::ShapeCodes>(&shape.shape);
    return {.payload = shape_payload(shape, codes != nullptr ? *codes : shape_codes_[next_shape_++])};
  }

 private:
  void encode_texts(std::span<const GenerationRequest> requests, const model::Bundle& bundle) {
    for (const GenerationRequest& request : requests) {
      for (const std::string& prompt : request.prompts) texts_.push_back(prompt_tokens(prompt, bundle));
    }
    if (!bundle.text_tower) return;
    std::map<std::vector<std::int32_t>, at::Tensor> known;
    for (const std::vector<std::int32_t>& text : texts_) {
      at::Tensor& features = known[text];
      if (!features.defined()) features = condition_features(text, bundle);
      text_features_.push_back(features);
    }
  }

  void encode_images(std::span<const GenerationRequest> requests, const model::Bundle& bundle) {
    std::vector<image::Image> images;
    for (const GenerationRequest& request : requests) {
      for (const ImageCondition& image : request.images)
        if (const auto* picture = std::get_if<image::Image>(&image.image)) images.push_back(*picture);
    }
    if (!images.empty()) image_codes_ = bundle.tokenizers.image()->encode(images);
  }

  void encode_shapes(std::span<const GenerationRequest> requests, const model::Bundle& bundle) {
    std::vector<tokenizers::ShapeSample> samples;
    for (const GenerationRequest& request : requests) {
      for (const ShapeCondition& shape : request.shapes) {
        if (const auto* sample = std::get_if<tokenizers::ShapeSample>(&shape.shape)) {
          samples.push_back(*sample);
        } else if (const auto* mesh = std::get_if<geometry::Mesh>(&shape.shape)) {
          samples.push_back(shape_sample(*mesh, bundle.tokenizers.shape()->required_input(), shape.frame));
        }
      }
    }
    if (!samples.empty()) shape_codes_ = bundle.tokenizers.shape()->encode(samples);
  }

  std::vector<std::vector<std::int32_t>> texts_, image_codes_;
  std::vector<at::Tensor> text_features_;  // of each text, where they are shown
  std::vector<tokenizers::ShapeCodes> shape_codes_;
  std::size_t next_text_ = 0, next_image_ = 0, next_shape_ = 0;
};

// Of the slots in which they stand, in the vocabulary's numbering.
std::vector<std::pair<std::int32_t, std::int32_t>> fixed_codes(const std::vector<std::int32_t>& codes,
                                                               const model::Bundle& bundle) {
  std::vector<std::pair<std::int32_t, std::int32_t>> fixed;
  const sequence::SegmentParts parts(bundle.vocabulary(), bundle.layout());
  for (const sequence::SegmentPart& part : parts.of(Modality::shape)) {
    if (part.range != sequence::kRangeGeometry || part.kind != sequence::PartKind::codes) continue;
    for (const std::int32_t code : codes)
      fixed.emplace_back(part.first_slot + static_cast<std::int32_t>(fixed.size()), part.first_token + code);
  }
  return fixed;
}

SegmentRequest generated_segment(const sequence::TaskSegment& segment, const GenerationRequest& request,
                                 const model::Bundle& bundle) {
  SegmentRequest generated{.modality = segment.modality, .given = {}, .fixed_tokens = {}};
  if (segment.modality == Modality::shape) {
    const std::vector<std::int64_t>& lengths = bundle.layout().geometry_lengths;
    generated.geometry_length = request.geometry_codes > 0 ? request.geometry_codes : lengths.back();
    generated.with_colour = request.with_colour;
    generated.fixed_tokens = fixed_codes(request.first_codes, bundle);
  }
  if (segment.modality != Modality::image) return generated;
  const sequence::Vocabulary& vocabulary = bundle.vocabulary();
  const sequence::SegmentParts parts(vocabulary, bundle.layout());
  const auto fix = [&](std::string_view range, const std::optional<std::int32_t>& bin) {
    generated.fixed_tokens.emplace_back(parts.slot_of(segment.modality, range),
                                        bin ? vocabulary.range(range).first + *bin : sequence::kAny);
  };
  if (!segment.view) {
    fix(sequence::kRangeAzimuth, {});
    fix(sequence::kRangeElevation, {});
  } else if (request.view) {
    fix(sequence::kRangeAzimuth, azimuth_bin(*request.view));
    fix(sequence::kRangeElevation, elevation_bin(*request.view));
  }
  return generated;
}

std::vector<SegmentRequest> request_segments(const GenerationRequest& request, const model::Bundle& bundle,
                                             EncodedConditions& conditions) {
  std::vector<SegmentRequest> segments;
  std::size_t text = 0, image = 0, shape = 0;
  for (const sequence::TaskSegment& segment : request.task.segments) {
    if (segment.loss) {
      segments.push_back(generated_segment(segment, request, bundle));
      continue;
    }
    if (segment.modality == Modality::text && text < request.prompts.size()) {
      segments.push_back(conditions.take_text());
      ++text;
      continue;
    }
    Segment given{.payload = sequence::empty_payload(segment.modality), .dropped = true};
    if (segment.modality == Modality::image && image < request.images.size()) {
      given = conditions.take_image(request.images[image++]);
    } else if (segment.modality == Modality::shape && shape < request.shapes.size()) {
      given = conditions.take_shape(request.shapes[shape++]);
    }
    segments.push_back({.modality = segment.modality, .given = std::move(given), .fixed_tokens = {}});
  }
  return segments;
}

// The weights of the conditions that are shown: a dropped one has nothing to weigh.
std::vector<double> shown_weights(const GenerationRequest& request,
                                  const std::vector<SegmentRequest>& segments) {
  const std::vector<double> all = request.guidance.weights_for(request.task);
  std::vector<double> shown;
  std::size_t condition = 0;
  for (const SegmentRequest& segment : segments) {
    if (!segment.given) continue;
    const double weight = all.at(condition++);
    if (!segment.given->dropped) shown.push_back(weight);
  }
  return shown;
}

}  // namespace

std::vector<DocumentRequest> encode_requests(std::span<const GenerationRequest> requests,
                                             const model::Bundle& bundle) {
  const c10::InferenceMode no_gradients;
  EncodedConditions conditions(requests, bundle);
  std::vector<DocumentRequest> documents;
  for (const GenerationRequest& request : requests) {
    std::vector<SegmentRequest> segments = request_segments(request, bundle, conditions);
    std::vector<double> guidance = shown_weights(request, segments);
    documents.push_back({.segments = std::move(segments),
                         .sampling = request.sampling,
                         .guidance = std::move(guidance),
                         .schedule = request.guidance.schedule,
                         .seed = request.seed,
                         .first_sample = request.first_sample * static_cast<std::uint64_t>(request.best_of),
                         .count = request.count * request.best_of});
  }
  return documents;
}

tokenizers::ShapeSample shape_sample(geometry::Mesh mesh, const tokenizers::ShapeInput& input,
                                     const std::optional<geometry::Normalisation>& frame) {
  geometry::normalise(mesh, frame);
  const geometry::MeshField field(mesh);
  return tokenizers::make_shape_sample(mesh, field, input, CounterRng(0));
}

}  // namespace omni::generation
