#pragma once

#include "document_rows.h"
#include "omni/generation/document_decoder.h"
#include "omni/generation/token_program.h"

namespace omni::generation {

// One sample of a request, under the grammar.
class DocumentProgram final : public TokenProgram {
 public:
  // The request must outlive the program. Throws Error(usage) where it does not fit the model.
  DocumentProgram(const model::Transformer& model, const DocumentRequest& request, std::uint64_t number);

  std::int64_t row_count() const override { return static_cast<std::int64_t>(rows_.size()); }
  std::int64_t capacity() const override { return capacity_; }
  model::DecodePrompt take_prompt(std::int64_t row) override { return {.tokens = take_unseen(row)}; }
  bool finished() const override { return finished_; }
  TokenChoice choice() const override;
  std::string describe_place() const override { return sampled().describe_place(); }
  std::int64_t settled_choices() const override { return sampled().settled_choices(); }
  void choose(std::int32_t token) override;
  std::vector<model::DecodeToken> take_unseen(std::int64_t row) override {
    return rows_.at(static_cast<std::size_t>(row)).take_unseen();
  }
  std::unique_ptr<TokenProgram> copy() const override { return std::make_unique<DocumentProgram>(*this); }

  // Once it is finished.
  sequence::Document document() const;

 private:
  const DocumentRow& sampled() const { return rows_.back(); }
  void advance();

  const model::Transformer* model_;
  const DocumentRequest* request_;
  std::uint64_t number_;
  std::int64_t capacity_, choice_bound_, choices_ = 0;
  std::vector<DocumentRow> rows_;
  std::vector<double> weights_;  // of the choice that comes next; empty without guidance
  bool finished_ = false;
};

// The sequences that a sample of a request takes. Throws Error(usage) for a request that cannot be sampled.
std::int64_t document_row_count(const DocumentRequest& request);

}  // namespace omni::generation
