mod changes;
mod naive;
mod random;
mod tables;
mod texts;
mod wider;
