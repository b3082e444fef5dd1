#include "omni/generation/make_samples.h"

#include <algorithm>
#include <chrono>

#include "batch_finisher.h"
#include "best_draws.h"
#include "omni/core/error.h"
#include "omni/generation/decoding_threads.h"
#include "omni/generation/document_decoder.h"
#include "omni/kernels/thread_count.h"
#include "request_segments.h"

namespace omni::generation {
namespace {

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

// From decoded documents to what they say.
class DocumentReader {
 public:
  DocumentReader(const model::Bundle& bundle, std::span<const DocumentRequest> requests,
                 const SampleOptions& options)
      : bundle_(bundle), requests_(requests), decode_images_(options.decode_images), mesh_(options.mesh) {
    if (mesh_ && mesh_->resolution == 0 && bundle.tokenizers.shape()) {
      mesh_->resolution = default_mesh_resolution(*bundle.tokenizers.shape());
    }
  }

  // Everything but fields and meshes: pictures of a batch are decoded together.
  std::vector<GeneratedSample> read(std::span<DecodedDocument> documents) const {
    const c10::InferenceMode no_gradients;
    const auto begun = std::chrono::steady_clock::now();
    std::vector<GeneratedSample> samples;
    std::vector<std::vector<std::int32_t>> image_codes;
    std::vector<std::size_t> sample_of_image;
    for (DecodedDocument& document : documents) {
      samples.push_back(read_document(std::move(document), image_codes));
      sample_of_image.resize(image_codes.size(), samples.size() - 1);
    }
    if (!decode_images_ || image_codes.empty()) return samples;
    std::vector<image::Image> images = bundle_.tokenizers.image()->decode(image_codes);
    for (std::size_t i = 0; i < images.size(); ++i) {
      samples[sample_of_image.at(i)].images.push_back(std::move(images[i]));
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    for (GeneratedSample& sample : samples)
      sample.drawing_seconds += taken.count() / static_cast<double>(samples.size());
    return samples;
  }

  // One by one: the last bits of a convolution depend on the size of the batch, and a mesh is to depend on
  // its sample alone.
  void add_field(GeneratedShape& shape) const {
    const c10::InferenceMode no_gradients;
    auto fields = bundle_.tokenizers.shape()->decode({&shape.codes, 1});
    ensure(fields.size() == 1, "a shape tokenizer returned another number of shapes");
    shape.field = std::move(fields.front());
  }

  void add_mesh(GeneratedShape& shape) const {
    if (!mesh_) return;
    shape.mesh = extract_mesh(*shape.field, *mesh_, shape.box_shares);
    stand_on_ground(*shape.mesh);
    if (shape.longest_side_m) scale_to_metres(*shape.mesh, *shape.longest_side_m);
  }

 private:
  GeneratedSample read_document(DecodedDocument document,
                                std::vector<std::vector<std::int32_t>>& image_codes) const {
    GeneratedSample sample;
    sample.request = document.request;
    sample.sample_number = document.sample_number;
    sample.document = std::move(document.document);
    sample.log_probability = document.log_probability;
    sample.drawing_seconds = document.drawing_seconds;
    const std::vector<SegmentRequest>& asked = requests_[sample.request].segments;
    for (std::size_t i = 0; i < sample.document.segments.size(); ++i) {
      if (asked[i].given) continue;
      const auto& payload = sample.document.segments[i].payload;
      if (const auto* text = std::get_if<sequence::TextPayload>(&payload)) {
        sample.texts.push_back(bundle_.tokenizers.text()->decode(text->tokens));
      } else if (const auto* image = std::get_if<sequence::ImagePayload>(&payload)) {
        image_codes.push_back(image->codes);
      } else if (const auto* shape = std::get_if<sequence::ShapePayload>(&payload)) {
        sample.shapes.push_back(read_shape(*shape));
      }
    }
    return sample;
  }

  const model::Bundle& bundle_;
  std::span<const DocumentRequest> requests_;
  bool decode_images_;
  std::optional<MeshOptions> mesh_;
};

// Counts tokens and documents, so that the last report says that nothing is left to sample.
class SamplingProgress {
 public:
  SamplingProgress(std::span<const DocumentRequest> requests, const model::Bundle& bundle,
                   const SampleOptions& options)
      : report_(options.on_progress) {
    for (const DocumentRequest& request : requests) {
      documents_left_ += request.count;
      token_bound_ += request.count * sampled_token_bound(request, bundle.vocabulary(), bundle.layout());
    }
  }

  void add_tokens(std::int64_t count) {
    tokens_ += count;
    if (report_) report_(tokens_, token_bound_);
  }
  void add_documents(std::size_t count) {
    documents_left_ -= static_cast<std::int64_t>(count);
    if (report_ && documents_left_ == 0 && tokens_ < token_bound_) report_(tokens_, tokens_);
  }

 private:
  const std::function<void(std::int64_t, std::int64_t)>& report_;
  std::int64_t documents_left_ = 0, tokens_ = 0, token_bound_ = 0;
};

}  // namespace

void make_samples(const model::Bundle& bundle, std::span<const GenerationRequest> requests,
                  const SampleOptions& options, const OnSample& on_sample) {
  for (const GenerationRequest& request : requests) check_request(request, bundle);
  if (options.mesh) validate(*options.mesh);
  std::int64_t sequences = 0;
  for (const GenerationRequest& request : requests) sequences += request.count * request.best_of;
  const kernels::ThreadCount threads(decoding_threads(bundle.transformer->parameters().element_count(),
                                                      std::min(sequences, options.sequences_per_batch)));
  const std::vector<DocumentRequest> documents = encode_requests(requests, bundle);

  const DocumentReader reader(bundle, documents, options);
  BestDraws<DecodedDocument> best([&](std::size_t request) { return requests[request].best_of; });
  SamplingProgress progress(documents, bundle, options);
  const DecodeOptions decode{.precision = options.precision,
                             .sequences_per_batch = options.sequences_per_batch,
                             .on_tokens = [&](std::int64_t count) { progress.add_tokens(count); },
                             .keeper = options.keeper};
  const bool shapes = std::any_of(requests.begin(), requests.end(), [](const GenerationRequest& request) {
    return sequence::makes(request.task, sequence::Modality::shape);
  });
  BatchFinisher finisher(
      {.beside = shapes ? gpu_of(*bundle.transformer) : std::nullopt,
       .after_interrupt = options.after_interrupt},
      [&](GeneratedSample& sample) {
        for (GeneratedShape& shape : sample.shapes) {
          reader.add_field(shape);
          reader.add_mesh(shape);
        }
      },
      on_sample);
  const auto finish = [&](std::span<DecodedDocument> batch) {
    progress.add_documents(batch.size());
    std::vector<DecodedDocument> samples = best.add(batch);
    finisher.add(reader.read(samples));
  };
  finisher.run([&] { decode_documents(*bundle.transformer, documents, decode, finish); });
}

void make_meshes(const model::Bundle& bundle, const GenerationRequest& request, SampleOptions options,
                 const OnSample& on_sample) {
  if (!sequence::makes(request.task, sequence::Modality::shape)) {
    fail(ErrorKind::usage, "making meshes: the task ", request.task.name,
         " makes no shape. Choose one that ends in a shape, such as text->shape.");
  }
  if (!options.mesh) options.mesh.emplace();
  make_samples(bundle, {&request, 1}, options, on_sample);
}

}  // namespace omni::generation
