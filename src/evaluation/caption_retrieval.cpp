#include "omni/evaluation/caption_retrieval.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace omni::evaluation {
namespace {

std::map<std::string, double> word_counts(std::string_view text) {
  std::map<std::string, double> counts;
  for (std::string& word : words_of(text)) counts[std::move(word)] += 1;
  return counts;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || byte >= 0x80) {
      word += static_cast<char>(std::tolower(byte));
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

double word_overlap(std::string_view text, std::string_view reference) {
  const auto a = word_counts(text), b = word_counts(reference);
  double shared = 0, total = 0;
  for (const auto& [word, count] : a) {
    total += count;
    const auto found = b.find(word);
    if (found != b.end()) shared += std::min(count, found->second);
  }
  for (const auto& [word, count] : b) total += count;
  return total == 0 ? 1.0 : 2 * shared / total;
}

CaptionIndex::CaptionIndex(const std::vector<std::string>& captions) : lengths_(captions.size(), 0.0) {
  for (std::size_t i = 0; i < captions.size(); ++i) {
    for (const auto& [word, count] : word_counts(captions[i])) words_[word].postings.push_back({i, count});
  }
  const auto n = static_cast<double>(captions.size());
  for (auto& [text, word] : words_) {
    word.inverse_frequency = std::log((1 + n) / (1 + static_cast<double>(word.postings.size()))) + 1;
    for (Posting& posting : word.postings) {
      posting.weight *= word.inverse_frequency;
      lengths_[posting.caption] += posting.weight * posting.weight;
    }
  }
  for (double& length : lengths_) length = std::sqrt(length);
}

std::size_t CaptionIndex::nearest(std::string_view text) const {
  std::vector<double> scores(lengths_.size(), 0.0);
  for (const auto& [text_word, count] : word_counts(text)) {
    const auto found = words_.find(text_word);
    if (found == words_.end()) continue;
    const double weight = count * found->second.inverse_frequency;
    for (const Posting& posting : found->second.postings) scores[posting.caption] += weight * posting.weight;
  }
  std::size_t best = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (lengths_[i] > 0) scores[i] /= lengths_[i];
    if (scores[i] > scores[best] + 1e-12) best = i;
  }
  return best;
}

}  // namespace omni::evaluation
