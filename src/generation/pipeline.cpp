#include "omni/generation/pipeline.h"

#include "omni/core/error.h"
#include "omni/generation/document_decoder.h"
#include "request_segments.h"

namespace omni::generation {
namespace {

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

std::vector<DocumentRequest> document_requests(std::span<const GenerationRequest> requests,
                                               const model::Bundle& bundle) {
  const std::vector<std::vector<SegmentRequest>> segments = encode_requests(requests, bundle);
  std::vector<DocumentRequest> documents;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (std::int64_t sample = 0; sample < requests[i].count; ++sample) {
      documents.push_back({.segments = segments[i],
                           .sampling = requests[i].sampling,
                           .seed = requests[i].seed,
                           .sample_number = requests[i].first_sample + static_cast<std::uint64_t>(sample),
                           .guidance = shown_weights(requests[i], segments[i])});
    }
  }
  return documents;
}

GeneratedShape read_shape(const sequence::ShapePayload& payload) {
  GeneratedShape shape;
  shape.codes = {payload.geometry, payload.colour};
  if (payload.size) shape.longest_side_m = sequence::size_of_bin(*payload.size);
  if (payload.box[0] && payload.box[1] && payload.box[2]) {
    shape.box_shares = geometry::Vec3{sequence::box_share_of_bin(*payload.box[0]),
                                      sequence::box_share_of_bin(*payload.box[1]),
                                      sequence::box_share_of_bin(*payload.box[2])};
  }
  return shape;
}

// One by one: the last bits of a convolution depend on the size of the batch, and a mesh is to depend on its
// sample alone.
void decode_shapes(std::vector<GeneratedSample>& samples, const tokenizers::ShapeTokenizer* tokenizer) {
  for (GeneratedSample& sample : samples) {
    for (GeneratedShape& shape : sample.shapes) {
      auto fields = tokenizer->decode({&shape.codes, 1});
      ensure(fields.size() == 1, "a shape tokenizer returned another number of shapes");
      shape.field = std::move(fields.front());
    }
  }
}

void decode_images(std::vector<GeneratedSample>& samples, const tokenizers::ImageTokenizer* tokenizer,
                   const std::vector<std::vector<std::vector<std::int32_t>>>& codes_of_samples) {
  std::vector<std::vector<std::int32_t>> codes;
  for (const auto& of_sample : codes_of_samples)
    codes.insert(codes.end(), of_sample.begin(), of_sample.end());
  if (codes.empty()) return;
  std::vector<image::Image> images = tokenizer->decode(codes);
  std::size_t next = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    for (std::size_t k = 0; k < codes_of_samples[i].size(); ++k) {
      samples[i].images.push_back(std::move(images.at(next++)));
    }
  }
}

}  // namespace

Generator::Generator(const model::Bundle& bundle, GeneratorOptions options)
    : bundle_(&bundle), options_(std::move(options)) {}

void Generator::check(const GenerationRequest& request) const { check_request(request, *bundle_); }

std::vector<GeneratedSample> Generator::generate(std::span<const GenerationRequest> requests) const {
  const c10::InferenceMode no_gradients;
  for (const GenerationRequest& request : requests) check(request);
  std::vector<DocumentRequest> documents = document_requests(requests, *bundle_);

  DecodeOptions decode{
      .precision = options_.precision, .sequences_per_batch = options_.sequences_per_batch, .on_tokens = {}};
  std::int64_t bound = 0, sampled = 0;
  for (const DocumentRequest& document : documents)
    bound += sampled_token_bound(document, bundle_->vocabulary(), bundle_->layout());
  if (options_.on_progress) {
    decode.on_tokens = [&](std::int64_t count) { options_.on_progress(sampled += count, bound); };
  }
  std::vector<sequence::Document> decoded = decode_documents(*bundle_->transformer, documents, decode);

  std::vector<GeneratedSample> samples(decoded.size());
  std::vector<std::vector<std::vector<std::int32_t>>> image_codes(decoded.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (std::int64_t number = 0; number < requests[i].count; ++number, ++next) {
      GeneratedSample& sample = samples[next];
      sample.request = i;
      sample.sample_number = documents[next].sample_number;
      sample.document = std::move(decoded[next]);
      for (std::size_t k = 0; k < sample.document.segments.size(); ++k) {
        if (documents[next].segments[k].given) continue;
        const auto& payload = sample.document.segments[k].payload;
        if (const auto* text = std::get_if<sequence::TextPayload>(&payload)) {
          sample.texts.push_back(bundle_->tokenizers.text()->decode(text->tokens));
        } else if (const auto* image = std::get_if<sequence::ImagePayload>(&payload)) {
          image_codes[next].push_back(image->codes);
        } else if (const auto* shape = std::get_if<sequence::ShapePayload>(&payload)) {
          sample.shapes.push_back(read_shape(*shape));
        }
      }
    }
  }
  decode_shapes(samples, bundle_->tokenizers.shape());
  if (options_.decode_images) decode_images(samples, bundle_->tokenizers.image(), image_codes);
  return samples;
}

}  // namespace omni::generation
