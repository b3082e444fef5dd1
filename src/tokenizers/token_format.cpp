#include "omni/tokenizers/token_format.h"

namespace omni::tokenizers {
namespace {

template <class Tokens>
bool differ(const Tokens& a, const Tokens& b) {
  return a.present() && b.present() && a != b;
}

template <class Tokens>
void add_absent(Tokens& tokens, const Tokens& other) {
  if (!tokens.present()) tokens = other;
}

}  // namespace

std::string difference(const TokenFormat& a, const TokenFormat& b) {
  if (differ(a.text, b.text)) return "the text tokenizer";
  if (differ(a.image, b.image)) return "the image tokenizer";
  if (differ(a.shape, b.shape)) return "the shape tokenizer";
  return "";
}

TokenFormat join(TokenFormat format, const TokenFormat& other) {
  add_absent(format.text, other.text);
  add_absent(format.image, other.image);
  add_absent(format.shape, other.shape);
  return format;
}

}  // namespace omni::tokenizers
