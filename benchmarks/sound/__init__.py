"""How answers sound: signal measures, a quality predictor, a codec's losses."""
