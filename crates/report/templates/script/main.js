const timeline = startTimeline();
startFlame();
