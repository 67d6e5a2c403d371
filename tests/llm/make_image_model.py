"""Makes a folder with a small model of images and text: BLIP-2's architecture, random weights, the tokenizer
of another model. By the Python that has vLLM: ``python make_image_model.py TOKENIZER_FOLDER FOLDER``.
"""

import sys

import torch
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipImageProcessor,
    LlamaConfig,
)

IMAGE = "<image>"
NUM_TOKENS = 16
PIXELS = 56
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
)

source, target = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(source)
tokenizer.add_tokens([IMAGE], special_tokens=True)
tokenizer.chat_template = TEMPLATE
torch.manual_seed(1)
small = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
config = Blip2Config(
    vision_config=Blip2VisionConfig(**small, image_size=PIXELS, patch_size=14).to_dict(),
    qformer_config=Blip2QFormerConfig(**small, encoder_hidden_size=64).to_dict(),
    text_config=LlamaConfig(
        **small,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        architectures=["LlamaForCausalLM"],
    ).to_dict(),
    num_query_tokens=NUM_TOKENS,
    image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
)
model = Blip2ForConditionalGeneration(config)
torch.nn.init.normal_(model.query_tokens)  # zeros would see all images alike
model.to(torch.bfloat16).save_pretrained(target)
images = BlipImageProcessor(size={"height": PIXELS, "width": PIXELS})
Blip2Processor(images, tokenizer, num_query_tokens=NUM_TOKENS).save_pretrained(target)
