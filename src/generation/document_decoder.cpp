#include "omni/generation/document_decoder.h"

#include <memory>

#include "document_program.h"
#include "kept_programs.h"
#include "omni/core/interrupt.h"

namespace omni::generation {
namespace {

// Samples that are decoded side by side.
class DocumentBatch {
 public:
  DocumentBatch(const model::Transformer& model, const DecodeOptions& options,
                const std::function<void(std::span<DecodedDocument>)>& on_batch)
      : model_(model), options_(options), on_batch_(on_batch) {}

  void add(std::span<const DocumentRequest> requests, std::size_t request, std::uint64_t number,
           std::int64_t rows) {
    if (sequences_ + rows > options_.sequences_per_batch) decode();
    programs_.push_back(std::make_unique<DocumentProgram>(model_, requests[request], number));
    documents_.push_back({.request = request, .sample_number = number, .document = {}});
    sequences_ += rows;
  }

  void decode() {
    if (programs_.empty()) return;
    std::vector<DrawPlace> places;
    for (const DecodedDocument& document : documents_)
      places.push_back({document.request, document.sample_number});
    const ProgramScores scores = run_kept_programs(
        model_, programs_, places, {.precision = options_.precision, .on_tokens = options_.on_tokens},
        options_.keeper);
    std::vector<DecodedDocument> whole;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      if (!programs_[i]->finished()) continue;
      documents_[i].document = static_cast<const DocumentProgram&>(*programs_[i]).document();
      documents_[i].log_probability = scores.log_probabilities[i];
      documents_[i].drawing_seconds = scores.seconds[i];
      whole.push_back(std::move(documents_[i]));
    }
    programs_.clear();
    documents_.clear();
    sequences_ = 0;
    if (!whole.empty()) on_batch_(whole);
    if (scores.interrupted) throw_if_interrupted();
  }

 private:
  const model::Transformer& model_;
  const DecodeOptions& options_;
  const std::function<void(std::span<DecodedDocument>)>& on_batch_;
  std::vector<std::unique_ptr<TokenProgram>> programs_;  // DocumentPrograms
  std::vector<DecodedDocument> documents_;
  std::int64_t sequences_ = 0;
};

}  // namespace

void decode_documents(const model::Transformer& model, std::span<const DocumentRequest> requests,
                      const DecodeOptions& options,
                      const std::function<void(std::span<DecodedDocument>)>& on_batch) {
  std::vector<std::int64_t> rows;
  for (const DocumentRequest& request : requests) rows.push_back(document_row_count(request));
  DocumentBatch batch(model, options, on_batch);
  for (std::size_t i = 0; i < requests.size(); ++i)
    for (std::int64_t k = 0; k < requests[i].count; ++k)
      batch.add(requests, i, requests[i].first_sample + static_cast<std::uint64_t>(k), rows[i]);
  batch.decode();
}

std::int64_t sampled_token_bound(const DocumentRequest& request, const sequence::Vocabulary& vocabulary,
                                 const sequence::SequenceLayout& layout) {
  std::int64_t count = 0;
  for (const SegmentRequest& segment : request.segments) {
    if (segment.given) continue;
    count += sequence::choice_bound(generated_plan(segment), vocabulary, layout) -
             static_cast<std::int64_t>(segment.fixed_tokens.size());
  }
  return count;
}

}  // namespace omni::generation
