"""Reads a picture of one line of text over HTTP.

python read_picture.py PICTURE CHARSET [host:port]
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from PIL import Image

picture, charset = Path(sys.argv[1]), Path(sys.argv[2])

# 48 pixels high, blue-green-red, from -1 to 1, channels first: what the model was trained on.
with Image.open(picture) as image:
    width = round(image.width * 48 / image.height)
    rgb = image.convert("RGB").resize((width, 48), Image.Resampling.BILINEAR)
pixels = np.asarray(rgb, np.float32)[:, :, ::-1] / 127.5 - 1
pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])

client = triton.InferenceServerClient(sys.argv[3] if len(sys.argv) > 3 else "localhost:8000")
tensor = triton.InferInput("image", list(pixels.shape), "FP32")
tensor.set_data_from_numpy(pixels)
result = client.infer("ocr_rec", [tensor])
(ids,) = result.as_numpy("character_ids")

# For each step along the width the model names a character. A repeated one counts once; 0 stands for none.
characters = charset.read_text(encoding="utf-8").split("\n")
before = [0, *ids[:-1]]
print("".join(characters[new] for old, new in zip(before, ids, strict=True) if new != old))
