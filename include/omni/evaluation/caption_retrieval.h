#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omni::evaluation {

// Lower-case runs of letters and digits.
std::vector<std::string> words_of(std::string_view text);

// Harmonic mean of precision and recall over words, counted with repetition; two empty texts give 1.
double word_overlap(std::string_view text, std::string_view reference);

// Finds the caption nearest to a text: cosine of tf-idf vectors over words (Salton and Buckley 1988), with
// idf = log((1 + n) / (1 + document frequency)) + 1. Ties go to the earlier caption.
class CaptionIndex {
 public:
  explicit CaptionIndex(const std::vector<std::string>& captions);
  std::size_t nearest(std::string_view text) const;  // 0 where no word is shared; not for an empty index
  std::size_t size() const { return lengths_.size(); }

 private:
  struct Posting {
    std::size_t caption;
    double weight;
  };
  struct Word {
    double inverse_frequency = 0;
    std::vector<Posting> postings;
  };
  std::map<std::string, Word, std::less<>> words_;
  std::vector<double> lengths_;
};

}  // namespace omni::evaluation
