"""The instruction wordings of FLAN 2021's data sets, ten for each pattern key, all our own."""
