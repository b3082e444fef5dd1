# Sourced by benchmarks of several ranks, with their arguments in omni, tokenizers and shards.

# write_stage FILE TOKENS: a stage of a 100M shape, micro-batches of so many tokens. What else it has is appended by the caller.
write_stage() {
  cat >"$1" <<YAML
stage: pretrain
output: run
tokenizers:
  text: $tokenizers/text_tokenizer.json
  image: $tokenizers/image_tokenizer
  shape: $tokenizers/shape_tokenizer
text_capacity: 40
shards: [$shards]
model: {width: 768, single_blocks: 14, heads: 12}
mixture: {text->shape: 1, image->shape: 1}
tokens_per_micro_batch: $2
precision: bf16
log_steps: 1
YAML
}
