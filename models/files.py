"""Names of the files of an encoder's folder, as `export` and `external` write them.

`index.layout` has the same names: a snapshot holds a copy of these files, and neither package
imports the other. A test compares the two.
"""

ENCODER_FILE = "encoder.tflite"
ENCODER_INFO_FILE = "encoder.json"
CROP_ENCODER_FILE = "crops.tflite"
DECODER_FILE = "decoder.tflite"
DECODER_INFO_FILE = "decoder.json"
AUTOENCODER_FILE = "autoencoder.keras"
HISTORY_FILE = "history.json"
