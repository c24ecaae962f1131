"""From a seqio task or mixture name to batches: resolve, tokenise, trim, pack, prefetch.

`config` and `vocabularies` hold the gin configurables and import neither seqio nor TensorFlow;
`live.TrainIterator` is the training stream, `eval_data` the evaluation rows, `loader` brings
batches to the devices, and `report` describes a mixture before anything is trained on it.
"""
